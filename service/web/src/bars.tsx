/** Small charts as SVG: bars by class, and a grid of hours and weekdays. Each value is said in its title, too. */

import { look } from "./look";
import { signs } from "./signs";
import { type ClassName, classNames } from "./wire";

/** Values of each class, all of one length. */
export type Series = Readonly<Record<ClassName, readonly number[]>>;

const [wide, high] = [640, 190];
const frame = { left: 34, right: 6, top: 8, bottom: 22 };

/** A number to end an axis at: 1, 2 or 5 times a power of ten. */
function roundAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return ([1, 2, 5, 10].find((lead) => lead * power >= value) ?? 10) * power;
}

interface Axes {
  readonly most: number;
  readonly labels: readonly string[];
}

function Frame({ most, labels }: Axes) {
  const { ring, text } = look.value.chart;
  const inner = wide - frame.left - frame.right;
  const y = (value: number): number => high - frame.bottom - ((high - frame.top - frame.bottom) * value) / most;
  return (
    <g font-size="11" fill={text} aria-hidden="true">
      {[0, most / 2, most].map((value) => (
        <g key={value}>
          <line x1={frame.left} x2={wide - frame.right} y1={y(value)} y2={y(value)} stroke={ring} />
          <text x={frame.left - 6} y={y(value) + 4} text-anchor="end">
            {Number.isInteger(value) ? value : ""}
          </text>
        </g>
      ))}
      {labels.map((label, k) => (
        <text key={k} x={frame.left + ((k + 0.5) * inner) / labels.length} y={high - 7} text-anchor="middle">
          {label}
        </text>
      ))}
    </g>
  );
}

/** Bars of all classes on top of each other; a letter stands in a part that is large enough, so colour is not alone. */
export function Bars({ series, labels, title, say }: {
  readonly series: Series;
  readonly labels: readonly string[];
  readonly title: string;
  readonly say: (index: number) => string;
}) {
  const { classes, ground } = look.value.chart;
  const sums = labels.map((_, k) => classNames.reduce((sum, name) => sum + (series[name][k] ?? 0), 0));
  const most = roundAbove(Math.max(...sums));
  const [inner, tall] = [wide - frame.left - frame.right, high - frame.top - frame.bottom];
  const step = inner / labels.length;
  return (
    <svg class="bars" viewBox={`0 0 ${wide} ${high}`} role="img" aria-label={title}>
      <rect width={wide} height={high} fill={ground} />
      <Frame most={most} labels={labels} />
      {labels.map((_, k) => {
        let top = high - frame.bottom;
        return (
          <g key={k}>
            <title>{say(k)}</title>
            {classNames.map((name) => {
              const height = (tall * (series[name][k] ?? 0)) / most;
              top -= height;
              return (
                <g key={name}>
                  <rect x={frame.left + k * step + step * 0.14} y={top} width={step * 0.72} height={height} fill={classes[name]} />
                  {height > 13 && step > 14 && (
                    <text x={frame.left + (k + 0.5) * step} y={top + height / 2 + 4} font-size="11" fill={look.value.ink} text-anchor="middle" aria-hidden="true">
                      {signs[name].letter}
                    </text>
                  )}
                </g>
              );
            })}
          </g>
        );
      })}
    </svg>
  );
}

/** Days down, hours across; how full a field is says how much. */
export function Grid({ rows, days, title, say }: {
  readonly rows: readonly (readonly number[])[];
  readonly days: readonly string[];
  readonly title: string;
  readonly say: (day: number, hour: number) => string;
}) {
  const { ground, text, field, ink } = look.value.chart;
  const most = Math.max(1, ...rows.flat());
  const [cellW, cellH] = [(wide - 46) / 24, 22];
  return (
    <svg class="bars" viewBox={`0 0 ${wide} ${7 * cellH + 22}`} role="img" aria-label={title}>
      <rect width={wide} height={7 * cellH + 22} fill={ground} />
      {rows.map((row, day) => (
        <g key={day}>
          <text x={36} y={day * cellH + 15} font-size="11" fill={text} text-anchor="end" aria-hidden="true">
            {days[day]}
          </text>
          {row.map((value, hour) => {
            const size = Math.sqrt(value / most);
            return (
              <g key={hour}>
                <title>{say(day, hour)}</title>
                <rect x={42 + hour * cellW} y={day * cellH + 1} width={cellW - 2} height={cellH - 2} fill={field} opacity="0.12" />
                <rect
                  x={42 + (hour + 0.5) * cellW - 1 - (size * (cellW - 4)) / 2}
                  y={(day + 0.5) * cellH - (size * (cellH - 4)) / 2}
                  width={size * (cellW - 4)}
                  height={size * (cellH - 4)}
                  fill={ink}
                />
              </g>
            );
          })}
        </g>
      ))}
      {[0, 6, 12, 18].map((hour) => (
        <text key={hour} x={42 + (hour + 0.5) * cellW - 1} y={7 * cellH + 15} font-size="11" fill={text} text-anchor="middle" aria-hidden="true">
          {hour}
        </text>
      ))}
    </svg>
  );
}

const enlarged = 2;

/** Let the browser keep a chart as a PNG. */
export async function savePng(chart: SVGSVGElement, name: string): Promise<void> {
  const { width, height } = chart.viewBox.baseVal;
  const copy = chart.cloneNode(true) as SVGSVGElement;
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", String(width * enlarged));
  copy.setAttribute("height", String(height * enlarged));
  copy.setAttribute("font-family", "Roboto, sans-serif");
  const picture = new Image();
  const address = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" }));
  picture.src = address;
  await picture.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width * enlarged, height * enlarged];
  canvas.getContext("2d")?.drawImage(picture, 0, 0);
  URL.revokeObjectURL(address);
  saveCanvas(canvas, name);
}

export function saveCanvas(canvas: HTMLCanvasElement, name: string): void {
  canvas.toBlob((blob) => blob && saveBlob(blob, name));
}

export function saveBlob(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
