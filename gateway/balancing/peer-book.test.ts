import { expect } from "chai";
import { PeerBook } from "./peer-book.ts";

describe("PeerBook", () => {
  const retired: string[] = [];
  const open = () => new PeerBook({ onRetired: (peer) => retired.push(peer.key) });

  beforeEach(() => {
    retired.length = 0;
  });

  it("keeps one record for an address while anything refers to it", () => {
    const book = open();
    const first = book.acquire("10.0.0.1", 80);
    first.fails = 3;
    const second = book.acquire("10.0.0.1", 80);
    expect(second).to.equal(first);
    book.release(first);
    expect(retired).to.deep.equal([]);
    expect(book.acquire("10.0.0.1", 80).fails).to.equal(3);
    expect(book.size).to.equal(1);
  });

  it("retires a peer when its last reference goes and says so once", () => {
    const book = open();
    const member = book.acquire("::1", 80);
    book.acquire("::1", 80);
    book.release(member);
    book.release(member);
    expect(retired).to.deep.equal(["[::1]:80"]);
    expect(member.peer.retired).to.equal(true);
    expect(book.size).to.equal(0);
  });

  it("has retired the peer already when it reports it", () => {
    let seen = false;
    const book = new PeerBook({
      onRetired: (peer) => {
        seen = peer.retired;
      },
    });
    book.release(book.acquire("10.0.0.1", 80));
    expect(seen).to.equal(true);
  });

  it("gives an address that comes back after its retirement a fresh peer and a fresh record", () => {
    const book = open();
    const old = book.acquire("10.0.0.1", 80);
    old.fails = 3;
    book.release(old);
    const fresh = book.acquire("10.0.0.1", 80);
    expect(fresh.peer).not.to.equal(old.peer);
    expect(fresh.peer.retired).to.equal(false);
    expect(fresh.fails).to.equal(0);
    expect(book.find(old.peer)).to.equal(undefined);
    expect(book.find(fresh.peer)).to.equal(fresh);
  });

  it("tells addresses apart that differ in the port alone", () => {
    const book = open();
    expect(book.acquire("10.0.0.1", 80)).not.to.equal(book.acquire("10.0.0.1", 81));
  });

  it("refuses a release without a reference", () => {
    const book = open();
    const member = book.acquire("10.0.0.1", 80);
    book.release(member);
    expect(() => book.release(member)).to.throw("10.0.0.1:80");
  });
});
