/**
 * Finds what is kept under the prefixes of a path, by whole segments. The cost grows with the segments of the path,
 * and not with the number of prefixes.
 */

class Node<T> {
  readonly children = new Map<string, Node<T>>();
  value: T | null = null;
}

const slash = 0x2f;

export class PathIndex<T> {
  readonly #root = new Node<T>();

  /** @param prefix without a slash at its end; empty for all paths. */
  set(prefix: string, value: T): void {
    let node = this.#root;
    for (const segment of prefix === "" ? [] : prefix.slice(1).split("/")) {
      const child = node.children.get(segment) ?? new Node<T>();
      node.children.set(segment, child);
      node = child;
    }
    node.value = value;
  }

  /** Returns what is kept under the longest prefix that covers `path`; `null` when no prefix does. */
  longest(path: string): T | null {
    let node: Node<T> = this.#root;
    let found = node.value;
    for (let from = 1; node.children.size > 0 && from <= path.length; ) {
      let end = from;
      while (end < path.length && path.charCodeAt(end) !== slash) end += 1;
      const child = node.children.get(path.slice(from, end));
      if (child === undefined) return found;
      node = child;
      found = node.value ?? found;
      from = end + 1;
    }
    return found;
  }
}
