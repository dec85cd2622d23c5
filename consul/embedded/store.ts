/**
 * The agent's state: tables of records under one index that grows with every commit. A commit is all or nothing. Knows
 * no HTTP and no file, but tells a journal of every commit and watchers of the records that it touched.
 */
import { type TableName, type Tables, tableNames } from "./records.ts";

export type Write = {
  [T in TableName]: readonly [table: T, key: string, row: Tables[T] | null];
}[TableName];

/** What one commit changed; also one line of the journal. */
export interface Commit {
  readonly index: number;
  readonly writes: readonly Write[];
}

/** Everything, as it is saved. */
export interface StoreImage {
  readonly index: number;
  readonly tables: { readonly [T in TableName]?: Readonly<Record<string, Tables[T]>> };
}

type Rows = { readonly [T in TableName]: Map<string, Tables[T]> };

/** Reading, inside and outside of a commit. */
export interface Reader {
  get<T extends TableName>(table: T, key: string): Tables[T] | undefined;
  rows<T extends TableName>(table: T): ReadonlyMap<string, Tables[T]>;
}

export interface Transaction extends Reader {
  /** The index that this commit will have. */
  readonly index: number;
  set<T extends TableName>(table: T, key: string, row: Tables[T]): void;
  delete<T extends TableName>(table: T, key: string): void;
}

export type CommitListener = (commit: Commit) => void;

export class Store implements Reader {
  readonly #rows: Rows = {
    node: new Map(),
    service: new Map(),
    check: new Map(),
    agentService: new Map(),
    agentCheck: new Map(),
    kv: new Map(),
    tombstone: new Map(),
    session: new Map(),
    index: new Map(),
    self: new Map(),
  };
  readonly #listeners = new Set<CommitListener>();
  #index = 0;

  get index(): number {
    return this.#index;
  }

  get<T extends TableName>(table: T, key: string): Tables[T] | undefined {
    return this.rows(table).get(key);
  }

  rows<T extends TableName>(table: T): Map<string, Tables[T]> {
    return this.#rows[table];
  }

  /** Calls `listener` after every commit that wrote something, in order. */
  onCommit(listener: CommitListener): void {
    this.#listeners.add(listener);
  }

  /** Runs `work` as one commit. When it throws nothing is changed; when it writes nothing there is no new index. */
  commit<R>(work: (tx: Transaction) => R): R {
    const writes: Write[] = [];
    const undo: (() => void)[] = [];
    const apply = <T extends TableName>(table: T, key: string, row: Tables[T] | null) => {
      const rows = this.rows(table);
      const before = rows.get(key);
      undo.push(() => (before === undefined ? rows.delete(key) : rows.set(key, before)));
      if (row === null) rows.delete(key);
      else rows.set(key, row);
      writes.push(writeOf(table, key, row));
    };
    let result: R;
    try {
      result = work({
        index: this.#index + 1,
        get: (table, key) => this.get(table, key),
        rows: (table) => this.rows(table),
        set: apply,
        delete: (table, key) => {
          if (this.rows(table).has(key)) apply(table, key, null);
        },
      });
    } catch (error) {
      for (const step of undo.reverse()) step();
      throw error;
    }
    if (writes.length > 0) {
      this.#index += 1;
      const commit = { index: this.#index, writes };
      for (const listener of this.#listeners) listener(commit);
    }
    return result;
  }

  image(): StoreImage {
    const tables = Object.fromEntries(
      tableNames.map((name) => [name, Object.fromEntries(this.#rows[name])]),
    );
    return { index: this.#index, tables };
  }

  /** Takes over what was saved. Only before the first commit. */
  restore(image: StoreImage, journal: readonly Commit[]): void {
    for (const name of tableNames) this.#restoreTable(name, image.tables[name] ?? {});
    this.#index = image.index;
    for (const commit of journal) {
      if (commit.index <= this.#index) continue;
      for (const [table, key, row] of commit.writes) this.#restoreRow(table, key, row);
      this.#index = commit.index;
    }
  }

  /** Jumps the index ahead without a change, so that no index is given out twice. */
  skipTo(index: number): void {
    this.#index = Math.max(this.#index, index);
  }

  #restoreTable<T extends TableName>(name: T, rows: Readonly<Record<string, Tables[T]>>): void {
    for (const [key, row] of Object.entries(rows)) this.rows(name).set(key, row);
  }

  #restoreRow<T extends TableName>(table: T, key: string, row: Tables[T] | null): void {
    if (row === null) this.rows(table).delete(key);
    else this.rows(table).set(key, row);
  }
}

function writeOf<T extends TableName>(table: T, key: string, row: Tables[T] | null): Write {
  // A generic triple is one member of the union, which the checker cannot see.
  return [table, key, row] as unknown as Write;
}
