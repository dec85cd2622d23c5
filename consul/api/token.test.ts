import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
  answerJson,
  type ScriptedServer,
  startScriptedServer,
} from "../fixtures/scripted-server.ts";
import { createConsul } from "./client.ts";
import { Token } from "./token.ts";

describe("an ACL token in a file", () => {
  let directory: string;
  let file: string;
  let server: ScriptedServer | null = null;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "sluice-token-"));
    file = join(directory, "token");
    await writeFile(file, "first-token\n");
  });
  afterEach(async () => {
    await server?.stop();
    await rm(directory, { recursive: true });
  });
  const replace = async (text: string) => {
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
  };

  it("is read again when the file has changed, and stays when it is gone or empty", async () => {
    let now = 0;
    const token = new Token({ token: "first-token", tokenFile: file }, () => now);
    expect(token.current()).to.equal("first-token");
    await replace("second-token\n");
    expect(token.current()).to.equal("first-token");
    now += 1_000;
    expect(token.current()).to.equal("second-token");
    for (const bad of ["", "two words", "\n"]) {
      await replace(bad);
      now += 1_000;
      expect(token.current()).to.equal("second-token");
    }
    await rm(file);
    now += 1_000;
    expect(token.current()).to.equal("second-token");
    await replace("third-token");
    now += 1_000;
    expect(token.current()).to.equal("third-token");
  });

  it("is sent with every request", async () => {
    server = await startScriptedServer((response) => answerJson(response, 1, {}));
    const consul = createConsul({ url: server.url }, { CONSUL_HTTP_TOKEN_FILE: file });
    await consul.read({ path: "/catalog/services" });
    await consul.api.agent.service.list();
    const sent = server.requests.map(({ headers }) => headers["x-consul-token"]);
    expect(sent).to.deep.equal(["first-token", "first-token"]);
    consul.close();
  });
});
