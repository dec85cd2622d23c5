/**
 * A request's body on its way from the client to the peer. It goes through a tap if there is one. It is kept until
 * the answer begins, so that it can be sent again, and it waits while the peer has no room.
 */
import { Gatherer } from "../gatherer.ts";
import type { BodyTap } from "../tap.ts";
import type { Deadlines } from "./deadlines.ts";
import type { Downstream, UpstreamStream } from "./ports.ts";
import { TapLine } from "./tap-line.ts";

/** Up to this size, a body is kept until the answer begins; a larger one can go to one peer only. */
const maxKeptBytes = 65_536;

/** The exchange, as its request's body sees it. */
export interface RequestBodyOwner {
  /** The peer has no room for what was sent. */
  onPeerFull(): void;
  /** The peer has been sent the whole request. */
  onRequestSent(): void;
  /** The tap has given the whole body. */
  onRequestTapped(): void;
  onTapFailed(status: number, code: string, message: string): void;
  onTapThrew(error: unknown): void;
}

export class RequestBody {
  /** Whether the client has sent the whole body. */
  isRead = true;
  /** Whether all bytes to send are there. With a tap this comes later than `isRead`. */
  isWhole = true;
  /** Whether everything that was to be sent so far is kept, so that it can be sent again. */
  isKept = true;
  /** Whether the client was told to stop sending for now. */
  isHeldBack = false;
  readonly #downstream: Downstream;
  readonly #deadlines: Deadlines;
  readonly #owner: RequestBodyOwner;
  readonly #kept: Buffer[] = [];
  #keptBytes = 0;
  #gatherer: Gatherer | null = null;
  /** Field lines to send after the body. */
  #trailer = "";
  #stream: UpstreamStream | null = null;
  #tap: TapLine | null = null;

  constructor(downstream: Downstream, deadlines: Deadlines, owner: RequestBodyOwner) {
    this.#downstream = downstream;
    this.#deadlines = deadlines;
    this.#owner = owner;
  }

  /** `body`: the whole body when it came with the head. */
  begin(hasBody: boolean, body: Buffer | null): void {
    this.isRead = !hasBody || body !== null;
    this.isWhole = this.isRead;
    this.isHeldBack = false;
    this.#trailer = "";
    if (body !== null) this.#keep(body);
  }

  get isTapped(): boolean {
    return this.#tap !== null;
  }

  /** Whether only the tap can move the body on: the client and the peer have done what they can. */
  get awaitsTap(): boolean {
    const tap = this.#tap;
    if (tap === null || tap.isHeldBack) return false;
    return this.isRead ? !this.isWhole : tap.isFull;
  }

  tap(tap: BodyTap): void {
    if (this.#tap !== null) throw new Error("the request's body has a tap already");
    const line = new TapLine(tap, {
      onTapped: (piece) => this.#sendTapped(line, piece),
      onTapRoom: () => this.#release(),
      onTapEnd: () => this.#finish(),
      onTapFailed: (status, code, message) => this.#owner.onTapFailed(status, code, message),
      onTapThrew: (error) => this.#owner.onTapThrew(error),
    });
    const taken = this.#kept.splice(0);
    this.#keptBytes = 0;
    this.#tap = line;
    this.isWhole = false;
    line.begin();
    for (const piece of taken) line.take(piece);
    if (this.isRead) this.#finishTap(line);
  }

  /** Takes a piece from the client. Returns false when there is no room for more before `Downstream.resume`. */
  take(piece: Buffer): boolean {
    const hasRoom = this.#tap === null ? this.#send(piece) : this.#tap.take(piece);
    if (!hasRoom) this.isHeldBack = true;
    return hasRoom;
  }

  /** The client has sent the whole body. `trailer`: the part of its trailer that may be passed on. */
  end(trailer: string): void {
    this.isRead = true;
    this.#trailer = trailer;
    if (this.#tap === null) this.#finish();
    else this.#finishTap(this.#tap);
  }

  /** Sends the request, and what is there of its body, to another peer. */
  open(stream: UpstreamStream): void {
    this.#stream = stream;
    const hasRoom = stream.send(this.#kept, this.isWhole, this.#trailer);
    if (this.#keptBytes > maxKeptBytes) this.letGo();
    if (!hasRoom) this.#owner.onPeerFull();
    if (this.isWhole) this.#owner.onRequestSent();
    else if (hasRoom) this.onRoom();
  }

  /** The stream is over. */
  close(): void {
    this.#stream = null;
  }

  /** The peer has room. */
  onRoom(): void {
    if (this.#tap === null) {
      this.#release();
      return;
    }
    this.#tap.onDrain();
    if (this.awaitsTap) this.#deadlines.awaitRequest();
  }

  /** Forgets the kept body: there will be no other try. */
  letGo(): void {
    this.isKept = false;
    this.#kept.length = 0;
    this.#keptBytes = 0;
  }

  /** The exchange is over. */
  reset(): void {
    this.#stream = null;
    this.#kept.length = 0;
    this.#keptBytes = 0;
    this.#gatherer = null;
    this.isKept = true;
    if (this.#tap === null) return;
    this.#tap.abort();
    this.#tap = null;
  }

  #keep(piece: Buffer): void {
    this.#keptBytes += piece.length;
    if (this.#kept.length === 0) {
      this.#kept.push(piece);
      return;
    }
    this.#gatherer ??= new Gatherer();
    this.#gatherer.add(this.#kept, piece);
  }

  #send(piece: Buffer): boolean {
    const stream = this.#stream;
    if (this.isKept) {
      this.#keep(piece);
      if (stream !== null && this.#keptBytes > maxKeptBytes) this.letGo();
    }
    if (stream === null) return this.#keptBytes <= maxKeptBytes;
    const hasRoom = stream.sendData(piece);
    if (!hasRoom) this.#owner.onPeerFull();
    return hasRoom;
  }

  #sendTapped(tap: TapLine, piece: Buffer): boolean {
    const hasRoom = this.#send(piece);
    if (this.isRead || tap.isFull) {
      if (hasRoom) this.#deadlines.awaitRequest();
      else this.#deadlines.client = 0;
    }
    return hasRoom;
  }

  #finish(): void {
    this.isWhole = true;
    if (this.#tap !== null) this.#owner.onRequestTapped();
    if (this.#stream === null) return;
    this.#stream.sendEnd(this.#trailer);
    this.#owner.onRequestSent();
  }

  /** Only the tap has to move now. It gets as much time as a client. */
  #finishTap(tap: TapLine): void {
    tap.finish();
    if (this.awaitsTap) this.#deadlines.awaitRequest();
  }

  #release(): void {
    if (!this.isHeldBack) return;
    this.isHeldBack = false;
    if (!this.isRead) this.#deadlines.awaitRequest();
    this.#downstream.resume();
  }
}
