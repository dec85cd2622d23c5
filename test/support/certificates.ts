/** Certificates for tests, made when they are needed, so that none of them expires in a repository. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIP } from "node:net";

export interface TestCertificate {
  /** PEM; without the chain to its authority. */
  readonly cert: string;
  readonly key: string;
}

export interface CertificateWish {
  /** DNS names and IPv4 or IPv6 addresses; the first is also the common name. */
  readonly names: readonly string[];
  /** Default `ec`: P-256. */
  readonly type?: "ec" | "rsa";
  /** Milliseconds since 1970. Default: since an hour ago, for 90 days. */
  readonly from?: number;
  readonly until?: number;
  /** Further attributes in front of the common name. */
  readonly organization?: string;
  /** Whether the subject has no attributes, and the names are among the alternatives only. */
  readonly isNameless?: boolean;
}

const dayMs = 86_400_000;
const ecdsaWithSha256 = "1.2.840.10045.4.3.2";

/** An authority that signs what it is asked for. */
export class TestAuthority {
  readonly cert: string;
  readonly #name: Buffer;
  readonly #key: KeyObject;

  /** `name`: empty for an authority whose name has no attributes. */
  constructor(name = "Test authority") {
    this.#name = distinguishedName(name === "" ? [] : [["2.5.4.3", name]]);
    const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#key = pair.privateKey;
    const now = Date.now();
    const constraints = extension("2.5.29.19", sequence(tlv(1, Buffer.from([255]))), true);
    const usage = extension("2.5.29.15", tlv(3, Buffer.from([1, 0x06])), true);
    this.cert = this.#sign(this.#name, pair.publicKey, now - dayMs, now + 365 * dayMs, [
      constraints,
      usage,
    ]);
  }

  issue(wish: CertificateWish): TestCertificate {
    const { type = "ec" } = wish;
    const pair =
      type === "ec"
        ? generateKeyPairSync("ec", { namedCurve: "P-256" })
        : generateKeyPairSync("rsa", { modulusLength: 2048 });
    const cert = this.certify(wish, pair.publicKey);
    return { cert, key: pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
  }

  /** A certificate for a key that the caller has; PEM. */
  certify(wish: CertificateWish, publicKey: KeyObject): string {
    const { names, organization } = wish;
    const { from = Date.now() - 3_600_000, until = Date.now() + 90 * dayMs } = wish;
    const attributes: (readonly [string, string])[] = [];
    if (organization !== undefined) attributes.push(["2.5.4.10", organization]);
    if (wish.isNameless !== true) attributes.push(["2.5.4.3", names[0] ?? "none"]);
    const alternatives = sequence(...names.map(alternative));
    return this.#sign(distinguishedName(attributes), publicKey, from, until, [
      extension("2.5.29.17", alternatives, false),
    ]);
  }

  #sign(
    subject: Buffer,
    publicKey: KeyObject,
    from: number,
    until: number,
    extensions: readonly Buffer[],
  ): string {
    const algorithm = sequence(objectId(ecdsaWithSha256));
    const body = sequence(
      tlv(0xa0, integer(Buffer.from([2]))),
      integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
      algorithm,
      this.#name,
      sequence(time(from), time(until)),
      subject,
      publicKey.export({ type: "spki", format: "der" }),
      tlv(0xa3, sequence(...extensions)),
    );
    const signature = sign("sha256", body, this.#key);
    const bits = tlv(3, Buffer.concat([Buffer.from([0]), signature]));
    const der = sequence(body, algorithm, bits).toString("base64");
    const lines = der.match(/.{1,64}/g) ?? [];
    return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
  }
}

/** DER: a tag, a length, what it holds. */
function tlv(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const head =
    length < 128
      ? [tag, length]
      : length < 256
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from(head), content]);
}

function alternative(name: string): Buffer {
  if (isIP(name) === 0) return tlv(0x82, Buffer.from(name, "latin1"));
  return tlv(0x87, addressBytes(name));
}

/** Of an IPv6 address without IPv4 in it. */
function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  const [before = [], after = []] = address
    .split("::")
    .map((part) => part.split(":").filter((group) => group !== ""));
  const zeros = Array<string>(8 - before.length - after.length).fill("0");
  const groups = [...before, ...zeros, ...after].map((group) => group.padStart(4, "0"));
  return Buffer.from(groups.join(""), "hex");
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function integer(content: Buffer): Buffer {
  return tlv(2, content);
}

function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const number of rest) {
    const groups = [number & 127];
    for (let left = number >> 7; left > 0; left >>= 7) groups.unshift((left & 127) | 128);
    bytes.push(...groups);
  }
  return tlv(6, Buffer.from(bytes));
}

function distinguishedName(attributes: readonly (readonly [id: string, value: string])[]): Buffer {
  return sequence(
    ...attributes.map(([id, value]) =>
      tlv(0x31, sequence(objectId(id), tlv(0x0c, Buffer.from(value)))),
    ),
  );
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "");
  return tlv(0x18, Buffer.from(digits, "latin1"));
}

function extension(id: string, value: Buffer, isCritical: boolean): Buffer {
  const critical = isCritical ? [tlv(1, Buffer.from([255]))] : [];
  return sequence(objectId(id), ...critical, tlv(4, value));
}
