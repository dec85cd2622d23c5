/** The KV verbs of a transaction (Consul API, "Transactions"): all operations or none. */
import { ApiError } from "./api-error.ts";
import {
  casKey,
  deleteKey,
  deleteKeyCas,
  deletePrefix,
  type KvValue,
  listKeys,
  lockKey,
  setKey,
  unlockKey,
} from "./kv.ts";
import type { KvRecord } from "./records.ts";
import type { Store, Transaction } from "./store.ts";

export interface KvOperation extends KvValue {
  readonly verb: string;
  readonly index: number;
  readonly session: string;
}

export interface TxnError {
  readonly OpIndex: number;
  readonly What: string;
}

export type TxnOutcome =
  | { readonly Results: readonly { readonly KV: KvRecord }[]; readonly Errors: null }
  | { readonly Results: null; readonly Errors: readonly TxnError[] };

const writing = ["set", "cas", "lock", "unlock", "delete", "delete-cas", "delete-tree"];

/** Whether no operation writes; Consul answers such a transaction as it does a read. */
export function readsOnly(operations: readonly KvOperation[]): boolean {
  return operations.every(({ verb }) => !writing.includes(verb));
}

class TxnRefused extends Error {
  readonly errors: readonly TxnError[];

  constructor(errors: readonly TxnError[]) {
    super("the transaction was refused");
    this.errors = errors;
  }
}

/**
 * Runs the operations as one commit. `mayLock` tells whether a key's lock delay is over.
 */
export function runTxn(
  store: Store,
  operations: readonly KvOperation[],
  mayLock: (key: string) => boolean,
): TxnOutcome {
  try {
    return store.commit((tx) => {
      const results: { KV: KvRecord }[] = [];
      const errors: TxnError[] = [];
      for (const [at, operation] of operations.entries()) {
        try {
          for (const entry of runOperation(tx, operation, mayLock)) results.push({ KV: entry });
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          errors.push({ OpIndex: at, What: error.message });
        }
      }
      if (errors.length > 0) throw new TxnRefused(errors);
      return { Results: results, Errors: null };
    });
  } catch (error) {
    if (error instanceof TxnRefused) return { Results: null, Errors: error.errors };
    throw error;
  }
}

/** The entries that the operation answers with; a write answers without the value. */
function runOperation(
  tx: Transaction,
  operation: KvOperation,
  mayLock: (key: string) => boolean,
): readonly KvRecord[] {
  const { verb, key, index, session } = operation;
  const refuse = (what: string) => new ApiError(409, what);
  const written = (entry: KvRecord | null, what: string) => {
    if (entry === null) throw refuse(what);
    return [{ ...entry, Value: null }];
  };
  if (key === "" && verb !== "get-tree" && verb !== "delete-tree") throw refuse("Must provide key");
  const entry = tx.get("kv", key);
  const present = (failed = "") => {
    if (entry === undefined) throw refuse(`${failed}key "${key}" doesn't exist`);
    return entry;
  };
  switch (verb) {
    case "set":
      return written(setKey(tx, operation), "");
    case "cas":
      return written(casKey(tx, operation, index), `failed to set key "${key}", index is stale`);
    case "lock":
      return written(
        mayLock(key) ? lockKey(tx, operation, session) : null,
        `failed to lock key "${key}", lock is already held`,
      );
    case "unlock":
      return written(
        unlockKey(tx, operation, session),
        `failed to unlock key "${key}", lock isn't held, or is held by another session`,
      );
    case "get":
      return [present()];
    case "get-tree":
      return listKeys(tx, key).entries;
    case "check-session": {
      const holder = present("failed to check session, ").Session ?? "";
      if (holder !== session) {
        throw refuse(
          `failed session check for key "${key}", current session "${holder}" != "${session}"`,
        );
      }
      return [{ ...present(), Value: null }];
    }
    case "check-index": {
      const { ModifyIndex } = present("failed to check index, ");
      if (ModifyIndex !== index) {
        throw refuse(
          `failed index check for key "${key}", current modify index ${ModifyIndex} != ${index}`,
        );
      }
      return [{ ...present(), Value: null }];
    }
    case "check-not-exists":
      if (entry !== undefined) throw refuse(`key "${key}" exists`);
      return [];
    case "delete":
      deleteKey(tx, key);
      return [];
    case "delete-cas":
      if (!deleteKeyCas(tx, key, index)) {
        throw refuse(`failed to delete key "${key}", index is stale`);
      }
      return [];
    case "delete-tree":
      deletePrefix(tx, key);
      return [];
    default:
      throw refuse(`unknown KV verb "${verb}"`);
  }
}
