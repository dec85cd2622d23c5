import { expect } from "chai";
import type { Operations } from "../../releases/index.ts";
import { openApi } from "./openapi.ts";
import { type AdminOptions, createAdmin } from "./server.ts";

interface Described {
  readonly operationId: string;
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, object>>;
}

/** As clients get it. */
const description = JSON.parse(JSON.stringify(openApi())) as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
};
const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

describe("the description of the admin API", () => {
  it("has what the API answers, and nothing that it does not know", async () => {
    const quiet = () => {};
    const log = {
      ...{ trace: quiet, debug: quiet, info: quiet },
      ...{ warn: quiet, error: quiet, fatal: quiet },
    };
    const server = createAdmin({
      // None of these is asked: what is looked at is the router.
      status: () => ({}) as ReturnType<AdminOptions["status"]>,
      operations: {} as Operations,
      notReady: () => null,
      release: () => 0,
      views: { upstreams: { show: async () => null }, hosts: { show: async () => null } },
      explainer: {} as AdminOptions["explainer"],
      metrics: async () => ({ contentType: "", text: "" }),
      access: { token: "t", isGiven: true, tls: null, hosts: [], openMetrics: false },
      isExposed: false,
      log,
      ticks: () => 0,
    });
    await server.ready();
    const described = operations.map(({ path, method }) => `${method} ${routeOf(path)}`);
    expect(new Set(routesIn(server.printRoutes({ commonPrefix: false })))).to.deep.equal(
      new Set(described),
    );
    await server.close();
  });

  it("names each operation once, each parameter of its path, and resolves every reference", () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).to.equal(ids.length);
    for (const { path, operation } of operations) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const named = operation.parameters.filter((one) => one.in === "path");
      expect(named.map(({ name }) => name)).to.deep.equal(inPath);
      expect(Object.keys(operation.responses), path).to.include.members(["200", "403"]);
    }
    const text = JSON.stringify(description);
    for (const [, reference = ""] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      const target = reference
        .split("/")
        .reduce<unknown>(
          (value, key) => (value as Readonly<Record<string, unknown>> | undefined)?.[key],
          description,
        );
      expect(target, reference).to.be.an("object");
    }
  });

  it("takes the queries from the schemas that check them", () => {
    const { parameters } = description.paths["/explain"]?.get ?? { parameters: [] };
    expect(parameters.map(({ name }) => name)).to.include.members(["method", "url", "header"]);
    const { parameters: ofHosts } = description.paths["/hosts"]?.get ?? { parameters: [] };
    expect(ofHosts.map(({ name }) => name)).to.deep.equal(["name"]);
  });
});

/** The routes of a tree such as Fastify prints; those that it adds for HEAD are left out. */
function routesIn(tree: string): readonly string[] {
  let parent = "";
  return tree.split("\n").flatMap((line) => {
    const [, indent = "", part = "", methods = ""] =
      /^(.*?)[├└]── (\S+) \(([^)]*)\)$/.exec(line) ?? [];
    if (part === "") return [];
    const route = indent === "" ? part : `${parent}/${part.replace(/^\//, "")}`;
    if (indent === "") parent = part;
    const own = methods.split(", ").filter((method) => method !== "HEAD");
    return own.map((method) => `${method.toLowerCase()} ${route}`);
  });
}

function routeOf(path: string): string {
  return path.replace(/\{name\}.*/, "*").replace("{kind}", ":kind");
}
