/** How new the keys are that operators write below `sluice/`, for tests that wait until a gateway has read them. */

const timeoutMs = 5_000;

/** The highest index of a key in each folder, `sluice/hosts/` for example. Empty where Consul does not answer. */
export async function latestIn(url: string, token: string): Promise<ReadonlyMap<string, number>> {
  const latest = new Map<string, number>();
  for (const { Key, ModifyIndex } of await entriesIn(url, token)) {
    const [root, name] = Key.split("/");
    // Gateways write there for each other, and read it in another way.
    if (name === "live") continue;
    const folder = `${root}/${name}/`;
    latest.set(folder, Math.max(latest.get(folder) ?? 0, ModifyIndex));
  }
  return latest;
}

interface Entry {
  readonly Key: string;
  readonly ModifyIndex: number;
}

async function entriesIn(url: string, token: string): Promise<readonly Entry[]> {
  try {
    const answer = await fetch(`${url}/v1/kv/sluice/?recurse`, {
      headers: { "x-consul-token": token },
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (answer.ok) return (await answer.json()) as readonly Entry[];
    await answer.arrayBuffer();
  } catch {
    // It is down or suspended, as some tests want it.
  }
  return [];
}
