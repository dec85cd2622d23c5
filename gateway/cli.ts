/**
 * The commands and their options. The only place that reads argv; what a command does is in `commands/`, loaded when it
 * is asked for.
 */
import { enableCompileCache } from "node:module";
import { fileURLToPath } from "node:url";
import { type Command, CommanderError, Option, program } from "commander";
import { type Flags, Invocation } from "./commands/invocation.ts";
import { type SettingKey, settingKeys, settingNames } from "./settings-table.ts";

// Node opens a debugger's port at this signal, unless somebody listens to it.
process.on("SIGUSR1", () => {});

// Compiled code is kept from run to run, for this process and those that it starts: without it a worker
// takes twice as long to start and keeps 30 MB more, for the stripper of types alone.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL("../.cache/compile", import.meta.url));
enableCompileCache(process.env.NODE_COMPILE_CACHE);

const invocation = new Invocation({
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  exit: (status) => process.exit(status),
});
const { output } = invocation;
const running = invocation.running.bind(invocation);
const serving = invocation.serving.bind(invocation);

/** The options of a command whose answer has a form for people and one for programs. */
function answering(command: Command): Command {
  return command
    .option("--json", "the answer for a program, as in a pipe")
    .addOption(new Option("--text", "the answer for people, in a pipe too").conflicts("json"));
}

/**
 * Whether the command is one that prints a source or a document to the letter unless it is told otherwise:
 * `sluice script show HOST > rule.js`. Gives every command of a group its options.
 */
function showing(command: Command): boolean {
  const isShow = command.name() === "show";
  if (isShow) command.option("--json", "the answer for a program, with the version");
  else answering(command);
  return isShow;
}

/** Gives a command the flags of these settings. */
function taking(fields: Iterable<SettingKey>, command: Command): Command {
  const wanted: ReadonlySet<string> = new Set(fields);
  for (const { flag, field, argument, isSwitch, meaning, variable, fallback } of settingNames) {
    if (!wanted.has(field)) continue;
    const known = [...(fallback === "" ? [] : [`default ${fallback}`]), variable].join("; ");
    const value = isSwitch ? `[${argument}]` : `<${argument}>`;
    command.addOption(new Option(`${flag} ${value}`, `${meaning} (${known})`));
  }
  return command;
}

/** What the library gives an action: the arguments, each `undefined` when it is left out, the flags, the command. */
function argumentsIn(given: readonly unknown[]): readonly string[] {
  return given.slice(0, -2).filter((argument) => typeof argument === "string");
}

/** What a registrator is told, and the flags that it can be told; they are loaded for it alone. */
async function registratorArguments(
  command: Command,
  [node = "", file = "", name = "", ...args]: readonly string[],
): Promise<readonly string[]> {
  const { addRegistratorFlags, withGoFlags } = await import("./commands/registrator-arguments.ts");
  addRegistratorFlags(command, process.env);
  return [node, file, name, ...withGoFlags(args)];
}

/** `sluice help script push` is `sluice script push --help`: the library's own help knows one level. */
function withHelp(argv: readonly string[]): readonly string[] {
  const [node = "", file = "", first, ...names] = argv;
  return first === "help" ? [node, file, ...names, "--help"] : argv;
}

const argv = withHelp(process.argv);

program
  .name("sluice")
  .description("A routing gateway for services that register in Consul.")
  .configureOutput({
    outputError: (message) => output.complain(message.replace(/^error: /, "")),
  })
  // It would end the process before its help is written.
  .exitOverride()
  // Without it here, too, the flags behind `host push` would be those of `host`.
  .enablePositionalOptions();

taking(settingKeys, program.command("start").description("run the gateway")).action(
  serving(async (flags) => {
    const { runStart } = await import("./commands/start.ts");
    return runStart(flags, process.env);
  }),
);

program
  .command("agent")
  .description("run the embedded Consul-compatible agent alone, for one machine")
  .option("--http <ADDRESS:PORT>", "where its HTTP API is", "127.0.0.1:8500")
  .option("--data-dir <DIR>", "where it keeps its state; without it, nothing outlives the process")
  .option("--datacenter <NAME>", "the name of its datacenter", "dc1")
  .option("--hosts <LIST>", "names and addresses that Host may have beside loopback and its own")
  .option(
    "--check-addresses <LIST>",
    "addresses and blocks that checks may reach (default: loopback and private ones)",
  )
  .option("--log-level <LEVEL>", "the least severe level that is logged", "info")
  .action(
    serving(async (flags) => {
      const { runAgent } = await import("./commands/agent.ts");
      return runAgent(flags);
    }),
  );

const registrator: Command = program
  .command("registrator")
  .description("register the containers of a Docker Engine with Consul")
  .argument("[REGISTRY]", "consul://HOST:PORT, as gliderlabs/registrator takes it, for --consul")
  .option("--consul <URL>", "Consul's HTTP API; without it CONSUL_HTTP_ADDR, then this machine's")
  .option("--docker <ADDRESS>", "the engine; without it DOCKER_HOST, then Docker's own default")
  .option("--log-level <LEVEL>", "the least severe level that is logged", "info");
registrator.action((registry: string | undefined) =>
  serving(async (flags) => {
    const { runRegistrator } = await import("./commands/registrator.ts");
    return runRegistrator(registry, flags, process.env);
  })(registrator.opts()),
);

program
  .command("demo")
  .description("agent, gateway and a few services on this machine, to be tried with curl")
  .option("--http <ADDRESS:PORT>", "where the gateway accepts requests", "127.0.0.1:8080")
  .option("--internal <ADDRESS:PORT>", "the same for clients inside", "127.0.0.1:8081")
  .option("--admin <ADDRESS:PORT>", "the gateway's admin address", "127.0.0.1:1995")
  .option("--agent <ADDRESS:PORT>", "the agent's address", "127.0.0.1:8500")
  .action(
    serving(async (flags) => {
      const { demo } = await import("./commands/demo.ts");
      return demo(flags, output.print);
    }),
  );

/** Takes an option that may be given again. */
function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** The options of a command that asks one running gateway. */
function asking(command: Command): Command {
  return taking(["config", "admin", "adminTokenFile"], command).option(
    "--data-dir <DIR>",
    "the gateway's, where it keeps the token that it made (SLUICE_DATA_DIR)",
  );
}

answering(asking(program.command("status")))
  .description("show what a running gateway says of itself")
  .option("--fleet", "all gateways at its Consul: what each has applied, and who is behind")
  .action(
    running(async (flags) => {
      const { showStatus } = await import("./commands/status.ts");
      return showStatus(flags, process.env, output);
    }),
  );

const doctor = answering(program.command("doctor"))
  .description("look at what keeps a gateway from working here, and say what to do about it")
  .option("--docker <ADDRESS>", "the Docker Engine; without it DOCKER_HOST, then Docker's default");
taking(settingKeys, doctor).action(
  running(async (flags) => {
    const { runDoctor } = await import("./commands/doctor.ts");
    return runDoctor(flags, process.env, output);
  }),
);

answering(asking(program.command("explain")))
  .description("say what a running gateway would do with a request, without sending one")
  .usage("[METHOD] URL [options]")
  .argument(
    "<METHOD>",
    "or tcp, tls-passthrough, udp: what a client of such a listener would get; left out, GET",
  )
  .argument(
    "[URL]",
    "http://HOST/PATH; the host need not lead to the gateway. Of tcp and udp :PORT, of tls-passthrough NAME:PORT",
  )
  .option("-H, --header <NAME: VALUE>", "a header of the request; may be given again", collect)
  .option(
    "--listener <NAME>",
    "where it would come in: http, internal or another listener's name",
    "http",
  )
  .option("--client <ADDRESS>", "the address of its client", "127.0.0.1")
  .action((first: string, second: string | undefined, flags: Flags) =>
    running(async (asked) => {
      const { runExplain } = await import("./commands/explain.ts");
      const [method, url] = second === undefined ? ["GET", first] : [first, second];
      return runExplain(method, url, asked, process.env, output);
    })(flags),
  );

answering(asking(program.command("resync")))
  .description("let go of what a running gateway holds although Consul no longer has it")
  .action(
    running(async (flags) => {
      const { runResync } = await import("./commands/resync.ts");
      return runResync(flags, process.env, output);
    }),
  );

const script = program
  .command("script")
  .description("rewrite scripts: push, test, list, show, history, rollback, remove, status");

/** What a command that examines a source shares with the gateways that will run it. */
const limitFields = ["scriptMemory", "scriptTimeout", "tenants"] as const;
const placeFields = ["consul", "prefix", "config", "adminTokenFile", "adminHosts"] as const;

/** One subcommand of `script`; all of them find Consul in the same way. */
function scriptCommand(usage: string, description: string): Command {
  const command = script.command(usage).description(description);
  const examines = ["push", "test", "rollback"].includes(command.name());
  taking([...placeFields, ...(examines ? limitFields : [])], command);
  const isText = showing(command);
  return command.action((...given: unknown[]) => {
    const args = argumentsIn(given);
    return running(async (flags) => {
      const { runScript } = await import("./commands/script.ts");
      return runScript(command.name(), args, flags, process.env, output);
    })(isText ? { text: true, ...command.opts() } : command.opts());
  });
}

const by = ["--by <NAME>", "who does it, for the history (default: this user)"] as const;
const timeout = ["--timeout <DURATION>", "how long to wait for the gateways", "15s"] as const;
const asModule = ["--module", "it is the name of a module"] as const;

scriptCommand("push <FILE>", "test a script here, write it, wait until every gateway has it")
  .option("--host <HOST>", "the host that it is for, or *.domain")
  .option("--module <NAME>", "or the name of the module that it is")
  .option(...by)
  .option(...timeout);
scriptCommand("test <FILE>", "load a script and run its tests, with the modules in Consul")
  .option("--host <HOST>", "the host that it is for")
  .option("--module <NAME>", "or the name of the module that it is");
scriptCommand("list", "the scripts in Consul").option("--modules", "the modules instead");
scriptCommand("show <HOST>", "the source of a script")
  .option(...asModule)
  .option("--version <VERSION>", "one of its history, which may be shortened");
scriptCommand("history <HOST>", "the last versions: who, when, and how they ended").option(
  ...asModule,
);
scriptCommand("rollback <HOST> [VERSION]", "put the last good version back, or the one named")
  .option(...asModule)
  .option(...by)
  .option(...timeout);
scriptCommand("remove <HOST>", "remove a script")
  .option(...asModule)
  .option(...by)
  .option(...timeout);
scriptCommand("status", "what every registered gateway says of its scripts");

for (const [group, argument, what, view, shown] of [
  ["host", "<HOST>", "host documents", "hosts", "rules, script and how requests ended"],
  ["upstream", "<NAME>", "upstream documents", "upstreams", "each peer's state in each worker"],
] as const) {
  const parent = answering(asking(program.command(`${group} [NAME]`)))
    .description(
      `show what a running gateway knows: ${shown}; ${what}: push, test, list, show, history, rollback, remove`,
    )
    // What follows a subcommand is the subcommand's: both have --config and --json.
    .enablePositionalOptions()
    .action((name: string | undefined, flags: Flags) =>
      running(async (asked) => {
        const { showView } = await import("./commands/view.ts");
        return showView(view, name ?? null, asked, process.env, output);
      })(flags),
    );
  const documentCommand = (usage: string, description: string): Command => {
    const command = parent.command(usage).description(description);
    taking([...placeFields, "tenants"], command);
    const isText = showing(command);
    return command.action((...given: unknown[]) => {
      const args = argumentsIn(given);
      return running(async (flags) => {
        const { runDocuments } = await import("./commands/documents.ts");
        return runDocuments(group, command.name(), args, flags, process.env, output);
      })(isText ? { text: true, ...command.opts() } : command.opts());
    });
  };
  if (group === "upstream") {
    for (const [usage, description] of [
      ["drain <NAME> <PEER>", "let a peer finish what it has, and get nothing new"],
      ["enable <NAME> <PEER>", "take that back"],
      ["weight <NAME> <PEER> <WEIGHT>", "give a peer another weight, 1 to 1000, or its own again"],
    ] as const) {
      const command = asking(parent.command(usage)).description(description);
      answering(command).option(...by);
      command.action((...given: unknown[]) => {
        const args = argumentsIn(given);
        return running(async (flags) => {
          const { setPeer } = await import("./commands/peer.ts");
          const verb = command.name() as "drain" | "enable" | "weight";
          return setPeer(verb, args, flags, process.env, output);
        })(command.opts());
      });
    }
  }
  documentCommand(`push ${argument} <FILE>`, "run a document's tests and write it").option(...by);
  documentCommand(`test ${argument} [FILE]`, "check a file, or what Consul has, and run its tests");
  documentCommand("list", `the ${what} in Consul`);
  documentCommand(`show ${argument}`, "a document as it is in Consul").option(
    "--version <VERSION>",
    "one of its history, which may be shortened",
  );
  documentCommand(`history ${argument}`, "the last versions: who, when, and how they ended");
  documentCommand(
    `rollback ${argument} [VERSION]`,
    "put the last good version back, or the one named",
  ).option(...by);
  documentCommand(`remove ${argument}`, "remove a document").option(...by);
}

const certificate = program
  .command("certificate")
  .description("certificates in Consul, with keys that only gateways can open: seal, push");
for (const [name, description] of [
  ["seal", "check a certificate and its key, and print its document with the key sealed"],
  ["push", "the same, and write it into Consul"],
] as const) {
  const command = certificate
    .command(`${name} <NAME>`)
    .description(description)
    .requiredOption("--chain <FILE>", "the certificate and those of whoever signed it, as PEM")
    .requiredOption("--key <FILE>", "its private key, as PEM");
  // What `seal` prints is the document, which is JSON.
  if (name === "push") answering(command).option("--clear", "write the key as it is");
  taking(["config", "consul", "prefix", "certificateKeyFile"], command);
  command.action((key: string) =>
    running(async (flags) => {
      const { runCertificate } = await import("./commands/certificate.ts");
      return runCertificate(name, key, flags, process.env, output);
    })(command.opts()),
  );
}

program
  .command("schema <KIND>")
  .description(
    "the JSON Schema of a document: host, upstream, setting, peers, certificate or listener",
  )
  .action((kind: string) =>
    running(async () => {
      const { showSchema } = await import("./commands/schema.ts");
      return showSchema(kind, output);
    })({}),
  );

try {
  // Further right it is an option of a command: `sluice script show HOST --version VERSION`.
  if (argv.length === 2 || /^(--version|--help|-h)$/.test(argv[2] ?? "")) {
    const { versionText } = await import("./version.ts");
    program.version(versionText(), "--version", "show the version, and the commit in a checkout");
  }
  await program.parseAsync(
    argv[2] === "registrator" ? await registratorArguments(registrator, argv) : argv,
  );
} catch (error) {
  if (!(error instanceof CommanderError)) invocation.failed(error);
  // The library has told what is wrong with the line; help and the version are no mistake.
  else if (error.exitCode !== 0) invocation.misused();
}
await invocation.end();
