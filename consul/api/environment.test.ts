import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ConsulOptionsError, resolveConsulAddress } from "./environment.ts";

const url = (env: Record<string, string>) => resolveConsulAddress({}, env).displayUrl;

describe("Consul's address", () => {
  let directory = "";
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "sluice-env-"));
  });
  after(() => rmSync(directory, { recursive: true }));
  const file = (name: string, text: string) => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };

  it("is read as Consul's own commands read it", () => {
    expect(url({})).to.equal("http://127.0.0.1:8500");
    expect(url({ CONSUL_HTTP_ADDR: "" })).to.equal("http://127.0.0.1:8500");
    expect(url({ CONSUL_HTTP_ADDR: "consul.example:8500" })).to.equal("http://consul.example:8500");
    expect(url({ CONSUL_HTTP_ADDR: "http://[::1]:8500/" })).to.equal("http://[::1]:8500");
    expect(url({ CONSUL_HTTP_ADDR: "https://c.example:8501/consul/" })).to.equal(
      "https://c.example:8501/consul",
    );
    expect(url({ CONSUL_HTTP_ADDR: "http://c.example:8500/v1" })).to.equal("http://c.example:8500");
    expect(url({ CONSUL_HTTP_ADDR: "c.example:8501", CONSUL_HTTP_SSL: "true" })).to.equal(
      "https://c.example:8501",
    );
    expect(url({ CONSUL_HTTP_ADDR: "http://c.example:8501", CONSUL_HTTP_SSL: "1" })).to.equal(
      "https://c.example:8501",
    );
    expect(url({ CONSUL_HTTP_ADDR: "c.example:8501", CONSUL_HTTP_SSL: "0" })).to.equal(
      "http://c.example:8501",
    );
  });

  it("given as an option wins over the environment", () => {
    const env = { CONSUL_HTTP_ADDR: "other:1", CONSUL_HTTP_TOKEN: "a" };
    const address = resolveConsulAddress({ url: "mine:2", token: "b" }, env);
    expect(address).to.include({ displayUrl: "http://mine:2", token: "b" });
  });

  it("shows neither user nor password", () => {
    const address = resolveConsulAddress({ url: "http://joe:secret@c.example:8500" }, {});
    expect(address.displayUrl).to.equal("http://c.example:8500");
    expect(address.baseUrl.password).to.equal("secret");
  });

  it("is refused with its name when it cannot be used", () => {
    const cases: readonly (readonly [Record<string, string>, string])[] = [
      [
        { CONSUL_HTTP_ADDR: "unix:///var/run/consul.sock" },
        'CONSUL_HTTP_ADDR is "unix:///var/run/consul.sock": Unix sockets are not supported, use TCP',
      ],
      [
        { CONSUL_HTTP_ADDR: "ftp://a" },
        'CONSUL_HTTP_ADDR is "ftp://a": only http:// and https:// are known',
      ],
      [
        { CONSUL_HTTP_ADDR: "http://joe:secret@a b" },
        'CONSUL_HTTP_ADDR is "http://a b", which is no address (host:port or a URL)',
      ],
      [{ CONSUL_HTTP_ADDR: "a:8500?token=x" }, "an address has no ? and no #"],
      [{ CONSUL_HTTP_SSL: "yes" }, 'CONSUL_HTTP_SSL is "yes": true or false is expected'],
      [
        { CONSUL_CLIENT_CERT: "/a.pem" },
        "CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY need each other",
      ],
      [{ CONSUL_CACERT: "/no/such/ca.pem" }, "CONSUL_CACERT: cannot read /no/such/ca.pem (ENOENT)"],
      [
        { CONSUL_HTTP_TOKEN_FILE: "/no/such/token" },
        "CONSUL_HTTP_TOKEN_FILE: cannot read /no/such/token (ENOENT)",
      ],
    ];
    for (const [env, message] of cases)
      expect(() => resolveConsulAddress({}, env)).to.throw(ConsulOptionsError, message);
  });

  it("comes with a token from a file before one from the environment", () => {
    const path = file("token", "from-file\n");
    const env = { CONSUL_HTTP_TOKEN: "from-env", CONSUL_HTTP_TOKEN_FILE: path };
    expect(resolveConsulAddress({}, env).token).to.equal("from-file");
    expect(resolveConsulAddress({}, { CONSUL_HTTP_TOKEN: "from-env" }).token).to.equal("from-env");
    expect(resolveConsulAddress({}, {}).token).to.equal(null);
  });

  it("does not repeat a token that cannot be sent", () => {
    expect(() => resolveConsulAddress({ token: "se\r\ncret" }, {}))
      .to.throw(ConsulOptionsError, "Consul's token has a space or a control character in it")
      .with.property("message")
      .that.does.not.contain("cret");
  });

  it("comes with what TLS needs", () => {
    const env = {
      CONSUL_CACERT: file("ca", "CA"),
      CONSUL_CLIENT_CERT: file("cert", "CERT"),
      CONSUL_CLIENT_KEY: file("key", "KEY"),
      CONSUL_HTTP_SSL_VERIFY: "false",
      CONSUL_TLS_SERVER_NAME: "server.dc1.consul",
    };
    const { tls } = resolveConsulAddress({}, env);
    expect(tls.ca?.toString()).to.equal("CA");
    expect(tls.cert?.toString()).to.equal("CERT");
    expect(tls.key?.toString()).to.equal("KEY");
    expect(tls.rejectUnauthorized).to.equal(false);
    expect(tls.servername).to.equal("server.dc1.consul");
    expect(resolveConsulAddress({}, {}).tls.rejectUnauthorized).to.equal(true);
  });
});
