// What a suite that uses testcontainers does, as a program for Node: prints one JSON line of what it saw.
import { GenericContainer, Network, Wait } from "testcontainers";

const network = await new Network().start();
const page = await new GenericContainer("busybox")
  .withCommand(["sh", "-c", "echo ready; exec httpd -f -p 80 -h /srv"])
  .withCopyContentToContainer([{ content: "copied in", target: "/srv/index.html" }])
  .withExposedPorts(80)
  .withNetwork(network)
  .withNetworkAliases("page")
  .withEnvironment({ COLOUR: "green" })
  .withWaitStrategy(Wait.forAll([Wait.forLogMessage("ready"), Wait.forListeningPorts()]))
  .start();
const fetched = await (await fetch(`http://${page.getHost()}:${page.getMappedPort(80)}/`)).text();
const visitor = await new GenericContainer("busybox")
  .withCommand(["sleep", "1000"])
  .withNetwork(network)
  .withHealthCheck({ test: ["CMD-SHELL", "wget -qO- http://page/"], interval: 200, timeout: 1000, retries: 10 })
  .withWaitStrategy(Wait.forHealthCheck())
  .start();
const exec = await visitor.exec(["sh", "-c", "wget -qO- http://page/; echo err >&2; exit 3"]);
const image = await GenericContainer.fromDockerfile(process.argv[2]).build();
const built = await image
  .withCommand(["sh", "-c", "cat /built; sleep 1000"])
  .withWaitStrategy(Wait.forLogMessage("from a build"))
  .start();
const log = (await built.exec(["cat", "/built"])).output;
await page.restart();
const after = await (await fetch(`http://${page.getHost()}:${page.getMappedPort(80)}/`)).text();
for (const container of [built, visitor, page]) await container.stop();
await network.stop();
console.log(
  JSON.stringify({ fetched, after, exec: { code: exec.exitCode, stdout: exec.stdout, stderr: exec.stderr }, log }),
);
process.exit(0);
