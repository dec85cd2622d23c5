import { generateKeyPairSync } from "node:crypto";
import { expect } from "chai";
import { TestAuthority } from "../../../test/support/certificates.ts";
import type { Certificate, Served } from "../../model/index.ts";
import { ManualClock } from "../fixtures/clock.ts";
import { CertificateBook } from "./book.ts";

const authority = new TestAuthority();
const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
const key = pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString();

/** Each look at it shows that time has passed. */
class BusyClock extends ManualClock {
  #looks = 0;

  override ticks(): number {
    this.#looks += 1;
    return super.ticks() + 5 * this.#looks;
  }
}

function certificate(name: string, more: { readonly from?: number } = {}): Certificate {
  const chain = authority.certify({ names: [name], ...more }, pair.publicKey);
  return { chain, key, sealedKey: null, facts: null };
}

describe("the book of certificates", () => {
  let clock: BusyClock;
  let isOpen: boolean;
  let served: string[];
  let book: CertificateBook;

  beforeEach(() => {
    clock = new BusyClock();
    clock.advance(Date.now());
    isOpen = true;
    served = [];
    book = new CertificateBook({
      prefix: "p/",
      listeners: [],
      sealingKey: null,
      serve: (changes: readonly Served[]) => {
        for (const { key: id, value } of changes) served.push(value === null ? `-${id}` : id);
      },
      isOpen: () => isOpen,
      onChange: () => {},
      clock,
      log: {
        trace() {},
        debug() {},
        info() {},
        warn() {},
        error() {},
        fatal() {},
      },
    });
  });
  afterEach(() => book.stop());

  const change = (name: string, value: Certificate | null) =>
    ({ kind: "certificate", key: name, value }) as const;
  const many = Array.from({ length: 20 }, (_, n) => change(`c${n}`, certificate(`c${n}.example`)));
  const ids = many.map(({ key: name }) => `kv/${name}`);

  it("checks few at once, and many in several turns, between which others have theirs", () => {
    book.pass(many.slice(0, 2));
    expect(served.splice(0)).to.deep.equal(ids.slice(0, 2));
    book.pass(many.slice(2));
    const first = served.length;
    expect(first).to.be.within(1, 10);
    clock.advance(1);
    expect(served.length).to.be.greaterThan(first);
    clock.advance(100);
    expect(served).to.deep.equal(ids.slice(2));
  });

  it("checks everything that is there before workers have a state", () => {
    isOpen = false;
    book.pass(many);
    expect(served).to.deep.equal(ids);
  });

  it("serves nothing that has gone before its turn, and takes the newest of what changed again", () => {
    book.pass(many);
    const done = served.splice(0).length;
    const [gone, changed] = [many[done + 5], many[done + 6]];
    if (gone === undefined || changed === undefined) throw new Error("all were checked at once");
    book.pass([change(gone.key, null), change(changed.key, certificate("other.example"))]);
    clock.advance(100);
    expect(served).to.include(`kv/${changed.key}`).and.not.include(`kv/${gone.key}`);
    expect(served).to.have.lengthOf(many.length - done - 1);
    const names = book.forHosts().flatMap((one) => one.names);
    expect(names).to.include("other.example").and.not.include(`${changed.key}.example`);
  });

  it("looks again at those alone that time makes good", () => {
    const from = clock.now() + 90_000;
    book.pass([change("early", certificate("early.example", { from })), ...many.slice(0, 1)]);
    book.pass([change("broken", { ...certificate("x.example"), chain: "no certificate" })]);
    expect(book.refused().map((one) => one.key)).to.deep.equal([
      "p/certificates/early",
      "p/certificates/broken",
    ]);
    served = [];
    book.start();
    clock.advance(70_000);
    expect(served).to.deep.equal([]);
    clock.advance(60_000);
    expect(served).to.deep.equal(["kv/early"]);
    expect(book.refused().map((one) => one.key)).to.deep.equal(["p/certificates/broken"]);
  });
});
