import * as z from "zod";
import { addressBlocks } from "../address-blocks.ts";

export const ipDenySchema = z.strictObject({
  addresses: addressBlocks.describe("Addresses and CIDR blocks that are kept out."),
});

export type IpDenyOptions = z.output<typeof ipDenySchema>;
