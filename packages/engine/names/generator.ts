const MOODS =
  "able agile airy alert ample apt bold brave breezy bright brisk calm candid careful cheery clear clever cosy crisp curious daring deft eager early earnest easy even exact fair fast fine fleet fond frank free fresh gentle glad golden grand handy happy hardy honest humble jolly keen kind lively loyal lucid lucky mellow merry mild modest neat nimble noble open patient plain polite prime prompt proud quick quiet rapid ready robust rosy sage serene sharp sincere sleek smart smooth snug solid spry stable steady still strong subtle sunny sure swift tidy trim true trusty upbeat vivid warm wise witty young zesty";
const THINGS =
  "anchor anvil arch atlas axle badger barge basalt beacon birch bison bolt boom bridge buoy cable canoe capstan cedar chain cleat cobalt compass condor coral cormorant cove crane crow dock dolphin dory drift eagle egret elm ember falcon fathom fern ferry finch fjord flint gannet garnet gear girder glacier granite grebe gull hammer harbor hawk hazel helm heron hoist hull ibis iris island jetty kayak keel kelp kestrel ketch lagoon lantern larch ledger lever linden lock loon magnet maple marlin mast mesa moor moraine needle oak oar orca osprey otter paddle pelican pier pike pilot pine piston plover pulley puffin quay quartz raft rail raven reef rigger river rowan rudder sail sextant shoal signal skiff slate spar sparrow spruce steel stern stork strait swan tender tern thistle tide tiller timber torch tower trestle truss tug tundra vane wharf willow winch wren yard yarrow";

const moods = MOODS.split(" ");
const things = THINGS.split(" ");

/** A name such as `brisk_heron`; from the seventh try on with a digit, until `taken` says no. */
export function generateName(taken: (name: string) => boolean): string {
  for (let attempt = 0; ; attempt++) {
    const mood = moods[Math.floor(Math.random() * moods.length)];
    const thing = things[Math.floor(Math.random() * things.length)];
    const name = `${mood}_${thing}${attempt < 6 ? "" : Math.floor(Math.random() * 10 ** Math.min(attempt - 5, 9))}`;
    if (!taken(name)) return name;
  }
}
