import { Ajv2020 } from "ajv/dist/2020.js";
import { expect } from "chai";
import { documentSchemas } from "./json-schema.ts";

// Here formats are only for people. Another library checks that the schemas mean what they say.
const validator = () => new Ajv2020({ strict: true, allowUnionTypes: true });

describe("the published JSON Schemas", () => {
  it("accept and refuse what the parsers do, where a schema can say it", () => {
    const { upstream, host, setting } = documentSchemas();
    const servers = [{ host: "10.0.0.1", port: 80 }];
    const isUpstream = validator().compile(upstream);
    expect(isUpstream({ enable: true, servers })).to.equal(true);
    expect(isUpstream({ cluster: [{ servers, try: 2 }] })).to.equal(true);
    expect(isUpstream({ service: "thumb", max_fails: 2 })).to.equal(true);
    expect(isUpstream({ servers: [{ host: "10.0.0.1", port: 70_000 }] })).to.equal(false);
    expect(isUpstream({ servers, extra: 1 })).to.equal(false);
    const isHost = validator().compile(host);
    expect(isHost({ paths: { "/": "web", "/a": { split: { a: 1, b: 2 } } } })).to.equal(true);
    expect(isHost({ paths: { "/": { upstream: "web", x: 1 } } })).to.equal(false);
    expect(isHost({ paths: [] })).to.equal(false);
    const match = { method: ["GET"], headers: { "x-beta": true } };
    expect(isHost({ routes: [{ match, upstream: "web" }] })).to.equal(true);
    expect(isHost({ routes: [{ upstream: "web" }] })).to.equal(false);
    expect(validator().compile(setting)({ any: ["thing"] })).to.equal(true);
  });
});
