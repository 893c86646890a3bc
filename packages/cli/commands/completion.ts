import { defineCommand } from "../command.ts";
import { CliError } from "../errors.ts";
import { out } from "../output.ts";
import { tree } from "../tree.ts";

export const completion = defineCommand({
  usage: "SHELL",
  short: "Print a completion script for bash, zsh or fish",
  flags: {},
  arity: { exactly: 1 },
  async run({ cli, args }) {
    const { program } = cli;
    const commands = Object.entries(tree).filter(([, node]) => !node.hidden);
    const groups = commands.flatMap(([name, node]) =>
      "commands" in node
        ? [
            [
              name,
              Object.keys(node.commands)
                .filter((child) => !node.commands[child]!.hidden)
                .join(" "),
            ] as const,
          ]
        : [],
    );
    const names = commands.map(([name]) => name).join(" ");
    const list = `${program} ps -a --format '{{.Names}}' 2>/dev/null`;
    if (args[0] === "bash" || args[0] === "zsh") {
      const zsh = args[0] === "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" : "";
      const cases = groups.map(([name, children]) => `    ${name}) words="${children}" ;;\n`).join("");
      out(
        `${zsh}_${program}() {\n  local words current="\${COMP_WORDS[COMP_CWORD]}"\n  if [ "$COMP_CWORD" -eq 1 ]; then words="${names}"; else\n  case "\${COMP_WORDS[1]}" in\n${cases}    *) words="$(${list})" ;;\n  esac; fi\n  COMPREPLY=($(compgen -W "$words" -- "$current"))\n}\ncomplete -o default -F _${program} ${program}\n`,
      );
      return;
    }
    if (args[0] === "fish") {
      const top = commands.map(
        ([name, node]) =>
          `complete -c ${program} -n __fish_use_subcommand -f -a ${name} -d '${node.short.replaceAll("'", "\\'")}'\n`,
      );
      const children = groups.map(
        ([name, words]) => `complete -c ${program} -n '__fish_seen_subcommand_from ${name}' -f -a '${words}'\n`,
      );
      out([...top, ...children].join(""));
      return;
    }
    throw new CliError(`unknown shell: ${JSON.stringify(args[0])}: must be one of "bash", "zsh", "fish"`);
  },
});
