/** Addresses in the options of plugins. */
import * as z from "zod";
import { isAddressBlock } from "../gateway/engine/message/address-blocks.ts";

export const addressBlocks = z
  .array(
    z.string().refine(isAddressBlock, {
      error: (issue) => `${JSON.stringify(issue.input)} is not an address or a CIDR block`,
    }),
  )
  .min(1)
  .max(10_000);
