// Makes the package that is installed outside a checkout: `.cache/package/`, and with npm a tarball of it in the
// current folder. Node runs no TypeScript below a folder `node_modules`, so types are erased here and modules are
// named `.js`; nothing else differs from the sources. With it goes the lock file, so that whoever installs it gets
// what was tested, checked by hash. Run it on the project's own Node.
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const target = join(root, ".cache", "package");
const sources = [
  "{gateway,consul,plugins}/**/*.{ts,js}",
  "scripts/*.js",
  "scripts/*.d.ts",
  "docs/**/*.md",
  "tools/{sluice,setup,node-binary}.mjs",
  "LICENSE",
  "README.md",
];
const isForTests = (file) => /\.test\.ts$|(^|\/)(fixtures|testing)\//.test(file);

/** `"./x.ts"` in a module is the module beside it, be it an import or a URL. */
function renamed(text, file) {
  return text.replace(/"([\w./-]+)\.ts"/g, (literal, path) =>
    existsSync(join(root, dirname(file), `${path}.ts`)) ? `"${path}.js"` : literal,
  );
}

function write(file, text) {
  mkdirSync(dirname(join(target, file)), { recursive: true });
  writeFileSync(join(target, file), text);
}

function readJson(file) {
  return JSON.parse(readFileSync(join(root, file), "utf8"));
}

rmSync(target, { recursive: true, force: true });
for (const file of globSync(sources, { cwd: root })) {
  if (isForTests(file)) continue;
  const text = () => readFileSync(join(root, file), "utf8");
  if (file.endsWith(".ts") && !file.endsWith(".d.ts")) {
    write(file.replace(/\.ts$/, ".js"), renamed(stripTypeScriptTypes(text()), file));
  } else if (file.endsWith(".mjs")) {
    write(file, renamed(text(), file));
  } else {
    mkdirSync(dirname(join(target, file)), { recursive: true });
    cpSync(join(root, file), join(target, file));
  }
}

const { devDependencies: _, scripts: __, ...manifest } = readJson("package.json");
write("package.json", `${JSON.stringify(manifest, null, 2)}\n`);
const { packages, ...lock } = readJson("package-lock.json");
const kept = Object.entries(packages).filter(([, { dev }]) => dev !== true);
const { devDependencies: ___, ...top } = packages[""];
const shrinkwrap = { ...lock, packages: { ...Object.fromEntries(kept), "": top } };
write("npm-shrinkwrap.json", `${JSON.stringify(shrinkwrap, null, 2)}\n`);

const { status, error } = spawnSync("npm", ["pack", target], { stdio: "inherit" });
if (error) console.error(`sluice: npm cannot be run: ${error.message}`);
process.exitCode = status ?? 1;
