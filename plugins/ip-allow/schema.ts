import * as z from "zod";
import { addressBlocks } from "../address-blocks.ts";

export const ipAllowSchema = z.strictObject({
  addresses: addressBlocks.describe("Addresses and CIDR blocks that are let in."),
});

export type IpAllowOptions = z.output<typeof ipAllowSchema>;
