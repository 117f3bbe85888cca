/** A class is told by shape and letter first; colour only repeats it. Paths are drawn in a 16 by 16 field. */

import type { ClassName } from "./wire";

export interface Sign {
  readonly letter: string;
  readonly path: string;
}

export const signs: Readonly<Record<ClassName, Sign>> = {
  drone: { letter: "D", path: "M8 .6 15.4 8 8 15.4.6 8Z" },
  helicopter: { letter: "H", path: "M2.2 2.2H13.8V13.8H2.2Z" },
  airplane: { letter: "A", path: "M8 .8 15.6 14.2H.4Z" },
  bird: { letter: "B", path: "M8 1.1A6.9 6.9 0 1 1 8 14.9 6.9 6.9 0 1 1 8 1.1Z" },
};

/** Where the letter stands: a triangle is heavy at the foot. */
export const letterHeight = (name: ClassName): number => (name === "airplane" ? 10.2 : 8.2);

const paths = Object.fromEntries(
  Object.entries(signs).map(([name, sign]) => [name, new Path2D(sign.path)]),
) as Record<ClassName, Path2D>;

export function paintSign(
  context: CanvasRenderingContext2D,
  name: ClassName,
  x: number,
  y: number,
  size: number,
  colour: string,
  ink: string,
  font: string,
): void {
  context.save();
  context.translate(x, y);
  context.scale(size / 16, size / 16);
  context.fillStyle = colour;
  context.fill(paths[name]);
  context.fillStyle = ink;
  context.font = `500 9.4px ${font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(signs[name].letter, 8, letterHeight(name) + 0.4);
  context.restore();
}
