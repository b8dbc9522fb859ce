import { geoNaturalEarth1, geoPath } from 'd3-geo';
import { feature } from 'topojson-client';
import type { GeometryCollection, Topology } from 'topojson-specification';
import world from 'world-atlas/land-110m.json';

import { counted, type Spot } from './nodes';

const WIDTH = 800;
const HEIGHT = 380;
// Nobody has a node in the Antarctic, and it would take a sixth of the height.
const SHOWN = 330;
const topology = world as unknown as Topology<{ land: GeometryCollection }>;
const LAND = feature(topology, topology.objects.land);
const PROJECTION = geoNaturalEarth1().fitSize([WIDTH, HEIGHT], LAND);
const OUTLINE = geoPath(PROJECTION)(LAND) ?? '';
const RADIUS_MIN = 6;
const RADIUS_MAX = 26;

/** Land, and a circle for each region with nodes: its area grows with their number. The table beside it says the same. */
export default function WorldMap({ spots }: { spots: readonly Spot[] }) {
  const said = spots.map(({ place, nodes }) => `${place.name}: ${counted(nodes.length)}`).join(', ');
  return (
    <svg viewBox={`0 0 ${WIDTH} ${SHOWN}`} className="map" role="img" aria-label={`World map of nodes. ${said || 'None has a known region.'}`}>
      <path d={OUTLINE} className="land" />
      {spots.map(({ place, nodes }) => {
        const point = PROJECTION([place.at[0], place.at[1]]);
        if (point === null) return null;
        const here = nodes.filter(({ status }) => status !== 'offline').length;
        const radius = Math.min(RADIUS_MAX, RADIUS_MIN * Math.sqrt(nodes.length));
        return (
          <g key={place.name} className={here > 0 ? 'spot' : 'spot away'} transform={`translate(${point[0]} ${point[1]})`}>
            <title>{`${place.name}: ${counted(nodes.length)}, ${here} connected`}</title>
            <circle r={radius} />
            <text y={radius + 14}>{`${place.name} · ${nodes.length}`}</text>
          </g>
        );
      })}
    </svg>
  );
}
