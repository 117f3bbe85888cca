/** Where labels go: the first free place around what they name, further off when it is crowded, with a leader line. */

export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const overlaps = (a: Rectangle, b: Rectangle): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

const inside = (a: Rectangle, field: Size): boolean =>
  a.x >= 0 && a.y >= 0 && a.x + a.width <= field.width && a.y + a.height <= field.height;

/** Above, below, right, left of `named`, then the corners; `gap` away. */
function* around(named: Rectangle, { width, height }: Size, gap: number): Generator<Rectangle> {
  const [left, right] = [named.x - width - gap, named.x + named.width + gap];
  const [above, below] = [named.y - height - gap, named.y + named.height + gap];
  const places = [
    [named.x, above],
    [named.x, below],
    [right, named.y],
    [left, named.y],
    [right, above],
    [left, above],
    [right, below],
    [left, below],
  ] as const;
  for (const [x, y] of places) yield { x, y, width, height };
}

/** A place that covers nothing in `taken`; undefined when all within three steps of `gap` are taken. */
export function freePlace(
  named: Rectangle,
  size: Size,
  field: Size,
  gap: number,
  taken: readonly Rectangle[],
): Rectangle | undefined {
  for (const steps of [1, 5, 10]) {
    for (const place of around(named, size, gap * steps)) {
      const held = { ...place, x: Math.max(0, Math.min(place.x, field.width - size.width)) };
      if (inside(held, field) && !taken.some((other) => overlaps(held, other))) return held;
    }
  }
  return undefined;
}

/** From the edge of what is named to the edge of its label: shown where they do not touch. */
export function leader(named: Rectangle, label: Rectangle): readonly [number, number, number, number] {
  const clamp = (value: number, low: number, size: number): number => Math.max(low, Math.min(value, low + size));
  const [x, y] = [named.x + named.width / 2, named.y + named.height / 2];
  const [toX, toY] = [clamp(x, label.x, label.width), clamp(y, label.y, label.height)];
  return [clamp(toX, named.x, named.width), clamp(toY, named.y, named.height), toX, toY];
}
