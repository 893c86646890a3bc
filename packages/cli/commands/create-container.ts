import { existsSync, rmSync, writeFileSync } from "node:fs";
import { ApiError } from "@gantry/client";
import type { ContainerCreateRequest, ContainerCreateResponse } from "@gantry/spec";
import type { Cli } from "../cli.ts";
import { CliError } from "../errors.ts";
import type { ContainerFlags } from "../options/container-flags.ts";
import { refuseContentTrust } from "../options/content-trust.ts";
import { err } from "../output.ts";

/** Creates a container; a missing image is pulled, as `--pull` says. Prints warnings, writes the cidfile. */
export async function createContainer(
  cli: Cli,
  request: ContainerCreateRequest,
  flags: ContainerFlags,
): Promise<string> {
  const { cidfile } = flags;
  if (cidfile && existsSync(cidfile)) {
    throw new CliError(`container ID file found, make sure the other container isn't running or delete ${cidfile}`);
  }
  if (!["always", "missing", "never"].includes(flags.pull)) {
    throw new CliError(`invalid pull option: '${flags.pull}': must be one of "always", "missing" or "never"`);
  }
  refuseContentTrust(flags["disable-content-trust"], request.Image ?? "");
  if (flags.platform) {
    const { parsePlatform } = await import("../options/platform.ts");
    parsePlatform(flags.platform);
  }
  if (flags.pull === "always") await pullFor(cli, request.Image!, flags);
  const options = { name: flags.name, platform: flags.platform };
  const created = await cli.docker.containers.create(request, options).catch(async (error) => {
    if (flags.pull !== "missing" || !isMissingImage(error)) throw error;
    const { familiarString, parseReference, withDefaultTag } = await import("@gantry/spec/reference");
    const name = familiarString(withDefaultTag(parseReference(request.Image!)));
    if (!flags.quiet) err(`Unable to find image '${name}' locally\n`);
    await pullFor(cli, request.Image!, flags);
    return cli.docker.containers.create(request, options);
  });
  for (const warning of created.Warnings ?? []) err(`WARNING: ${warning}\n`);
  if (cidfile) writeCidFile(cidfile, created);
  return created.Id;
}

function isMissingImage(error: unknown): boolean {
  return (
    error instanceof ApiError &&
    error.status === 404 &&
    /no such image|image .*not found|does not match the specified platform/i.test(error.message)
  );
}

async function pullFor(cli: Cli, image: string, flags: ContainerFlags): Promise<void> {
  const { pullImage } = await import("./pull-image.ts");
  await pullImage(cli, image, { platform: flags.platform, quiet: flags.quiet, fd: 2 });
}

function writeCidFile(path: string, created: ContainerCreateResponse): void {
  try {
    writeFileSync(path, created.Id, { flag: "wx" });
  } catch (error) {
    rmSync(path, { force: true });
    throw new CliError(`failed to create the container ID file: ${(error as Error).message}`);
  }
}
