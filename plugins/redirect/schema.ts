import * as z from "zod";

export const redirectSchema = z.strictObject({
  to: z
    .string()
    .max(2_048)
    .refine(isRedirectTarget, {
      error: "is not a whole URL with http or https, whose host is there before $path is",
    })
    .describe("A URL; $path in it is the path of the request."),
  status: z
    .union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)], {
      error: "is not one of 301, 302, 303, 307, 308",
    })
    .default(302),
});

export type RedirectOptions = z.output<typeof redirectSchema>;

/** Otherwise a client could choose the host that it is sent to. */
function isRedirectTarget(to: string): boolean {
  const [start = ""] = to.split("$path", 1);
  if (!/^https?:\/\/[^/?#@\\$]+([/?#]|$)/.test(start) || !URL.canParse(start)) return false;
  return /^[\x21-\x7e]+$/.test(to) && to.split("$path").length <= 2 && !to.includes("#$path");
}
