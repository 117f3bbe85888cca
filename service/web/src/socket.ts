/** A WebSocket that comes back: opened again after each end, with a growing, jittered pause. */

export interface Hears {
  readonly text?: (text: string) => void;
  readonly bytes?: (bytes: ArrayBuffer) => void;
  readonly opened?: () => void;
  readonly closed?: () => void;
}

const shortestPauseMs = 250;
const longestPauseMs = 2000;

export class Socket {
  private socket: WebSocket | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private failures = 0;
  private wanted = true;

  constructor(
    private readonly address: () => string,
    private readonly hears: Hears,
  ) {
    this.open();
  }

  /** Close for good. */
  stop(): void {
    this.wanted = false;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  /** Say something to the service; nothing when the connection is gone by now. */
  say(text: string): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(text);
  }

  /** Give up a connection that has gone silent; a new one is tried at once. */
  restart(): void {
    const socket = this.socket;
    this.detach();
    socket?.close();
    this.hears.closed?.();
    this.open();
  }

  private open(): void {
    if (!this.wanted) return;
    clearTimeout(this.timer);
    const socket = new WebSocket(this.address());
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.failures = 0;
      this.hears.opened?.();
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (typeof event.data === "string") this.hears.text?.(event.data);
      else this.hears.bytes?.(event.data);
    };
    socket.onclose = () => this.lost();
    this.socket = socket;
  }

  private lost(): void {
    this.detach();
    if (!this.wanted) return;
    this.hears.closed?.();
    const pause = Math.min(longestPauseMs, shortestPauseMs * 2 ** this.failures++);
    this.timer = setTimeout(() => this.open(), pause * (0.75 + Math.random() / 2));
  }

  private detach(): void {
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket = undefined;
  }
}
