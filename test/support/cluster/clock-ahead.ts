/**
 * Loaded into a process before everything else (`--import`), puts its wall clock one hour ahead. A namespace cannot: the
 * kernel has one for all; and what moves the clock of programs that ask the C library does not move Consul's, which asks the
 * kernel by itself.
 */
const aheadMs = 3_600_000;
const Real = Date;
const now = Real.now.bind(Real);

globalThis.Date = new Proxy(Real, {
  construct: (target, args, self) =>
    Reflect.construct(target, args.length === 0 ? [now() + aheadMs] : args, self),
  apply: () => new Real(now() + aheadMs).toString(),
  get: (target, key) => (key === "now" ? () => now() + aheadMs : Reflect.get(target, key, target)),
});
