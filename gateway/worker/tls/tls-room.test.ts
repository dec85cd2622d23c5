import { expect } from "chai";
import { TestAuthority } from "../../../test/support/certificates.ts";
import {
  type Certificate,
  type CertificateFacts,
  emptyTables,
  LayeredMap,
} from "../../model/index.ts";
import { TlsRoom } from "./tls-room.ts";

const authority = new TestAuthority();
const hour = 3_600_000;

function certificate(names: readonly string[], more: Partial<CertificateFacts> = {}): Certificate {
  const { cert, key } = authority.issue({ names });
  const facts: CertificateFacts = {
    names,
    keyType: "ec",
    fingerprint: cert.slice(40, 104),
    notBefore: 0,
    notAfter: Date.now() + hour,
    issuer: "Test authority",
    ...more,
  };
  return { chain: cert, key, sealedKey: null, facts };
}

describe("the certificates of a worker's listeners", () => {
  const errors: unknown[] = [];
  const rules = new Map<string, { required: boolean; authorities: string }>();
  let room: TlsRoom;
  let table: LayeredMap<Certificate>;

  beforeEach(() => {
    errors.length = 0;
    rules.clear();
    room = new TlsRoom({
      ruleOf: (host) => rules.get(host) ?? null,
      http2: true,
      onError: (error) => errors.push(error),
    });
    table = new LayeredMap();
  });
  afterEach(() => expect(errors).to.deep.equal([]));

  function change(changes: Readonly<Record<string, Certificate | null>>): void {
    table = table.with(Object.entries(changes));
    room.apply({ ...emptyTables(), certificate: table });
  }
  function endpoint(name: string): object | null {
    const listener = room.listener({ profile: "intermediate", defaultCertificate: null }, "all");
    return listener.choose({ name, protocols: [] })?.endpoint ?? null;
  }

  it("stay as they are when others change, with what was made of them", () => {
    change({
      "kv/a": certificate(["a.example"]),
      "kv/b": certificate(["b.example", "*.b.example"]),
    });
    const [a, b] = [endpoint("a.example"), endpoint("x.b.example")];
    expect(endpoint("b.example"), "of the same certificate").to.equal(b);
    change({ "kv/a": certificate(["a.example"]), "kv/c": certificate(["c.example"]) });
    expect(endpoint("a.example")).to.not.equal(a).and.not.equal(null);
    expect(endpoint("b.example")).to.equal(b);
    change({ "kv/b": null });
    expect([endpoint("b.example"), endpoint("x.b.example")]).to.deep.equal([null, null]);
    expect(endpoint("c.example")).to.not.equal(null);
  });

  it("are those that expire last, whichever came first, and the next one when they go", () => {
    const short = certificate(["a.example"], { notAfter: Date.now() + hour });
    const long = certificate(["a.example"], { notAfter: Date.now() + 2 * hour });
    change({ "kv/short": short });
    const ofShort = endpoint("a.example");
    change({ "kv/long": long });
    const ofLong = endpoint("a.example");
    expect(ofLong).to.not.equal(ofShort);
    change({ "kv/short": null });
    expect(endpoint("a.example")).to.equal(ofLong);
    change({ "kv/short": short, "kv/long": null });
    expect(endpoint("a.example")).to.not.equal(ofLong).and.not.equal(null);
    change({ "kv/twin": { ...short, chain: long.chain, key: long.key } });
    change({ "kv/short": null });
    expect(endpoint("a.example"), "no certificate that is gone").to.not.equal(null);
  });

  it("ask clients for certificates of the authorities as they are now", () => {
    const authorities = (from: TestAuthority): Certificate => ({
      chain: from.cert,
      key: null,
      sealedKey: null,
      facts: null,
    });
    rules.set("a.example", { required: true, authorities: "partners" });
    change({ "kv/a": certificate(["a.example"]) });
    expect(endpoint("a.example"), "nobody is let in without them").to.equal(null);
    change({ "kv/partners": authorities(authority) });
    const first = endpoint("a.example");
    expect(first).to.not.equal(null);
    change({ "kv/partners": authorities(new TestAuthority("Another")) });
    expect(endpoint("a.example")).to.not.equal(first);
    rules.delete("a.example");
    expect(endpoint("a.example")).to.not.equal(first);
  });
});
