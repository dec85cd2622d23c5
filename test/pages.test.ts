/** The pages: every link leads somewhere, and every page is found from the README. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (page: string) => readFileSync(join(root, page), "utf8");
const pagesIn = (folder: string) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `${folder}/${name}`);

interface Link {
  readonly written: string;
  readonly page: string;
  /** `null`: the page itself. */
  readonly anchor: string | null;
}

/** Links into the project; those to other places are not followed. */
function linksOf(page: string): readonly Link[] {
  const targets = [...read(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((written) => {
      const [path = "", anchor = null] = written.split("#");
      return { written, page: path === "" ? page : normalize(join(dirname(page), path)), anchor };
    });
}

/** As GitHub makes them of headings. */
function anchorsOf(page: string): readonly string[] {
  return [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

describe("the pages", () => {
  const pages = ["README.md", ...pagesIn("docs"), ...pagesIn("docs/decisions")];

  it("have no link that leads nowhere", () => {
    const broken = pages.flatMap((page) =>
      linksOf(page)
        .filter((link) => {
          if (!existsSync(join(root, link.page))) return true;
          return (
            link.anchor !== null &&
            link.page.endsWith(".md") &&
            !anchorsOf(link.page).includes(link.anchor)
          );
        })
        .map(({ written }) => `${page}: ${written}`),
    );
    expect(broken).to.deep.equal([]);
  });

  it("are all found from the README", () => {
    const found = new Set(["README.md"]);
    for (const page of found) {
      for (const link of linksOf(page)) {
        if (link.page.endsWith(".md") && existsSync(join(root, link.page))) found.add(link.page);
      }
    }
    expect(pagesIn("docs").filter((page) => !found.has(page))).to.deep.equal([]);
  });

  it("on the lives of a request and of a change name files that there are", () => {
    for (const page of ["docs/life-of-a-request.md", "docs/life-of-a-change.md"]) {
      const named = [...read(page).matchAll(/`((?:gateway|consul|plugins|decisions)\/[\w./-]+)`/g)];
      expect(named, page).to.not.have.lengthOf(0);
      const gone = named
        .map(([, path = ""]) => path)
        .filter((path) => !existsSync(join(root, path)) && !existsSync(join(root, "docs", path)));
      expect(gone, page).to.deep.equal([]);
    }
  });
});
