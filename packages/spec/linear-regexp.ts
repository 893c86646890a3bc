/**
 * Regular expressions in time linear in the text, for patterns that come from strangers: a filter of a list, a
 * `.dockerignore`, a wildcard of a Dockerfile. Those of the language itself try one way after another, and a short pattern
 * can hold up the daemon for minutes. Here all ways are tried at once: states of an automaton, and sets of them made into
 * states of another as the text asks for them (Thompson; RE2, which Go has, works in the same way).
 *
 * The syntax is Go's, as far as names are matched with it: no look-around, no references back, no `\b`, no `\p{…}`.
 */
import { type Instruction, parsePattern } from "./linear-parser.ts";

/** States kept before they are all made anew. */
const MAX_STATES = 500;

/** A set of instructions that wait for a character. */
interface State {
  waiting: number[];
  /** Whether something that matches ends here; and whether, if the text does. */
  matches: boolean;
  matchesAtEnd: boolean;
  /** Where a character leads: by code point, those of ASCII in a list. `anew`: a match may begin with it, too. */
  ascii: { on: (State | undefined)[]; anew: (State | undefined)[] };
  others: { on: Map<number, State>; anew: Map<number, State> };
}

export class LinearRegExp {
  private readonly program: Instruction[];
  private states = new Map<string, State>();
  private readonly first: State;
  private readonly anchored: boolean;

  /** `dotAll`: a dot is any character. Throws an Error where the text is no pattern, or one of too many states. */
  constructor(source: string, options: { dotAll?: boolean; ignoreCase?: boolean } = {}) {
    this.program = parsePattern(source, options);
    this.first = this.closure([0], true);
    const later = this.closure([0], false);
    this.anchored = later.waiting.length === 0 && !later.matchesAtEnd;
  }

  /** Whether it matches anywhere in the text. */
  test(text: string): boolean {
    let state = this.first;
    for (let at = 0; at < text.length; ) {
      if (state.matches) return true;
      // What can only begin at the start has not.
      if (this.anchored && state.waiting.length === 0) return false;
      const code = text.codePointAt(at) as number;
      at += code > 0xffff ? 2 : 1;
      state = (code < 128 ? state.ascii.anew[code] : state.others.anew.get(code)) ?? this.step(state, code, "anew");
    }
    return state.matches || state.matchesAtEnd;
  }

  /** The length of the shortest or longest match at the text's start, in UTF-16 units; -1 where there is none. */
  prefix(text: string, longest: boolean): number {
    let state = this.first;
    let found = -1;
    for (let at = 0; at < text.length; ) {
      if (state.matches) {
        found = at;
        if (!longest) return found;
      }
      if (state.waiting.length === 0) return found;
      const code = text.codePointAt(at) as number;
      at += code > 0xffff ? 2 : 1;
      state = (code < 128 ? state.ascii.on[code] : state.others.on.get(code)) ?? this.step(state, code, "on");
    }
    return state.matches || state.matchesAtEnd ? text.length : found;
  }

  private step(state: State, code: number, how: "on" | "anew"): State {
    const targets: number[] = how === "anew" ? [0] : [];
    for (const at of state.waiting) {
      const instruction = this.program[at] as Instruction;
      if (instruction.kind === "char" && instruction.takes(code)) targets.push(at + 1);
    }
    const next = this.closure(targets, false);
    if (code < 128) state.ascii[how][code] = next;
    else if (state.others[how].size < MAX_STATES) state.others[how].set(code, next);
    return next;
  }

  /** Everything that can be reached without a character. */
  private closure(from: number[], atStart: boolean): State {
    const seen = new Set<number>();
    const waiting = new Set<number>();
    const reach = (starts: number[], atEnd: boolean): { matches: boolean; ends: number[] } => {
      const stack = [...starts];
      const ends: number[] = [];
      let matches = false;
      while (stack.length > 0) {
        const at = stack.pop() as number;
        if (seen.has(at)) continue;
        seen.add(at);
        const instruction = this.program[at] as Instruction;
        switch (instruction.kind) {
          case "char":
            waiting.add(at);
            break;
          case "fork":
            stack.push(...instruction.to);
            break;
          case "start":
            if (atStart) stack.push(at + 1);
            break;
          case "end":
            if (atEnd) stack.push(at + 1);
            else ends.push(at);
            break;
          case "match":
            matches = true;
        }
      }
      return { matches, ends };
    };
    const { matches, ends } = reach(from, false);
    const list = [...waiting].sort((a, b) => a - b);
    let matchesAtEnd = matches;
    if (!matches && ends.length > 0) {
      for (const at of ends) seen.delete(at);
      matchesAtEnd = reach(ends, true).matches;
    }
    const key = `${matches}${matchesAtEnd} ${list.join()}`;
    let state = this.states.get(key);
    if (state === undefined) {
      if (this.states.size >= MAX_STATES) this.states = new Map();
      state = {
        waiting: list,
        matches,
        matchesAtEnd,
        ascii: { on: [], anew: [] },
        others: { on: new Map(), anew: new Map() },
      };
      this.states.set(key, state);
    }
    return state;
  }
}
