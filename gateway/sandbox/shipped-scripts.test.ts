import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { examineScript } from "./index.ts";
import { tables } from "./test-sandbox.ts";

const folder = fileURLToPath(new URL("../../scripts/", import.meta.url));
const names = readdirSync(folder).filter((name) => name.endsWith(".js"));
const text = (name: string) => readFileSync(`${folder}${name}`, "utf8");

describe("a script that ships with Sluice", () => {
  for (const name of names) {
    it(`${name} passes its own tests`, async () => {
      const { fault, passed } = await examineScript("a.example.com", tables(text(name)));
      expect(fault).to.equal(null);
      expect(passed, "cases").to.be.at.least(2);
    });
  }

  it("agrees with the types that scripts are written against", () => {
    const tsc = fileURLToPath(new URL("../../node_modules/.bin/tsc", import.meta.url));
    const { stdout, status } = spawnSync(tsc, ["-p", folder], { encoding: "utf8" });
    expect(stdout).to.equal("");
    expect(status).to.equal(0);
  });
});
