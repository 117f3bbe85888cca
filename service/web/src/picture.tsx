/** A canvas that shows the newest picture of a camera with what was found in it, drawn once per screen frame at most. */

import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type Feed, type Shown, feedOf } from "./feed";
import { join } from "./joined";
import { drawnPixel, look } from "./look";
import { type View, paint, trackAt } from "./paint";
import { select, selected, showDetections } from "./state";
import { words } from "./strings";

export interface PictureProps {
  readonly sensor: string;
  readonly label: string;
  readonly labels: boolean;
  /** Which part of the picture the canvas shows; undefined: nothing to show. */
  readonly view: (canvas: HTMLCanvasElement, shown: Shown, dpr: number) => View | undefined;
}

/** Keeps a canvas sharp and fresh. Plain object, because pictures come too often for a component to re-render. */
class Painter {
  lastView: View | undefined;
  private requested = 0;
  private readonly context: CanvasRenderingContext2D | null;
  private readonly ends: (() => void)[];

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly feed: Feed,
    private readonly props: () => PictureProps,
  ) {
    this.context = canvas.getContext("2d", { alpha: false });
    const sizes = new ResizeObserver(() => this.resize());
    sizes.observe(canvas);
    this.ends = [
      () => sizes.disconnect(),
      feed.watch(() => this.request()),
      effect(() => {
        void [selected.value, showDetections.value, look.value, words.value];
        this.request();
      }),
    ];
  }

  stop(): void {
    cancelAnimationFrame(this.requested);
    for (const end of this.ends) end();
  }

  request(): void {
    this.requested ||= requestAnimationFrame(() => {
      this.requested = 0;
      this.draw();
    });
  }

  pick(event: MouseEvent): void {
    const { shown } = this.feed;
    if (!shown || !this.lastView) return;
    const { left, top } = this.canvas.getBoundingClientRect();
    const dpr = window.devicePixelRatio || 1;
    const track = trackAt(shown.header.tracks, this.lastView, (event.clientX - left) * dpr, (event.clientY - top) * dpr);
    if (track) select(join(shown.header).byBox.get(track.id)?.id ?? track.id);
  }

  private resize(): void {
    const dpr = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * dpr));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * dpr));
    this.draw();
  }

  private draw(): void {
    const { shown } = this.feed;
    if (!shown || !this.context) return;
    const { view, labels } = this.props();
    this.lastView = view(this.canvas, shown, drawnPixel());
    if (!this.lastView) return;
    paint(this.context, shown, this.lastView, look.value, {
      selected: selected.peek(),
      detections: showDetections.peek(),
      labels,
      joined: join(shown.header),
      className: (name) => words.peek().classes[name],
    });
  }
}

export function Picture(props: PictureProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const painter = useRef<Painter | undefined>(undefined);
  const latest = useRef(props);
  latest.current = props;
  useEffect(() => {
    if (!canvas.current) return;
    const made = new Painter(canvas.current, feedOf(props.sensor), () => latest.current);
    painter.current = made;
    return () => made.stop();
  }, [props.sensor]);
  useEffect(() => painter.current?.request());
  return (
    <canvas
      ref={canvas}
      class="picture"
      role="img"
      aria-label={props.label}
      onClick={(event) => painter.current?.pick(event)}
    />
  );
}
