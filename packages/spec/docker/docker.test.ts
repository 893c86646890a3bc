import { expect, test } from "bun:test";
import { TypeCompiler } from "@sinclair/typebox/compiler";
import { ContainerCreateRequest, NetworkCreateRequest, UpdateConfig } from "./index.ts";

const create = TypeCompiler.Compile(ContainerCreateRequest);

test("a create request takes nulls for every field, and unknown fields, as Go's decoder does", () => {
  expect(create.Check({})).toBe(true);
  expect(create.Check({ Cmd: null, Env: null, HostConfig: null, NetworkingConfig: null, Hostname: null })).toBe(true);
  expect(create.Check({ Image: "x", Future: { a: 1 }, HostConfig: { Binds: null, Memory: 0, AlsoNew: 1 } })).toBe(true);
  expect(create.Check({ NetworkingConfig: { EndpointsConfig: { bridge: null, other: { Aliases: ["a"] } } } })).toBe(
    true,
  );
});

test("a command may be a list or one string", () => {
  expect(create.Check({ Cmd: "true", Entrypoint: ["/bin/sh", "-c"] })).toBe(true);
  expect(create.Check({ Cmd: [1] })).toBe(false);
});

test("wrong types are refused where Go's decoder refuses them", () => {
  expect(create.Check({ Image: 1 })).toBe(false);
  expect(create.Check({ HostConfig: { Memory: "512m" } })).toBe(false);
  expect(create.Check({ HostConfig: { Memory: 1.5 } })).toBe(false);
  expect(create.Check({ HostConfig: { PortBindings: { "80/tcp": [{ HostPort: 80 }] } } })).toBe(false);
  expect(create.Check([])).toBe(false);
});

test("update carries limits and the restart policy", () => {
  const update = TypeCompiler.Compile(UpdateConfig);
  expect(update.Check({ Memory: 1 << 20, RestartPolicy: { Name: "always" } })).toBe(true);
  expect(update.Check({ RestartPolicy: "always" })).toBe(false);
});

test("a network request carries address pools", () => {
  const network = TypeCompiler.Compile(NetworkCreateRequest);
  expect(network.Check({ Name: "n", IPAM: { Config: [{ Subnet: "10.0.0.0/24", AuxiliaryAddresses: null }] } })).toBe(
    true,
  );
  expect(network.Check({ Name: "n", IPAM: { Config: [{ Subnet: 10 }] } })).toBe(false);
});
