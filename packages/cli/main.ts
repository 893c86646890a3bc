#!/usr/bin/env bun
import { main } from "./index.ts";

process.exitCode = await main(process.argv0, process.argv.slice(2));
process.exit(process.exitCode);
