/**
 * Where on the map a region is. A region is a word that a node's owner chose (`region` in node.toml); nothing checks it, and no
 * address is looked up. What is known here is what clouds and people commonly write; the rest is listed beside the map.
 */
export interface Place {
  readonly name: string;
  /** Degrees: longitude, latitude. */
  readonly at: readonly [number, number];
}

const PLACES: Readonly<Record<string, Place>> = Object.fromEntries(
  (
    [
      // Parts of the world, as clouds name them.
      ['eu', 'Europe', 10, 50], ['eu-west', 'Western Europe', -6, 53], ['eu-central', 'Central Europe', 9, 50],
      ['eu-north', 'Northern Europe', 18, 60], ['eu-south', 'Southern Europe', 9, 45], ['eu-east', 'Eastern Europe', 21, 52],
      ['us', 'United States', -98, 39], ['us-east', 'US East', -77, 39], ['us-west', 'US West', -121, 42],
      ['us-central', 'US Central', -94, 41], ['us-south', 'US South', -97, 31], ['na', 'North America', -100, 45],
      ['ca', 'Canada', -106, 56], ['ca-central', 'Canada Central', -73, 46], ['ca-west', 'Canada West', -114, 51],
      ['sa', 'South America', -58, -15], ['sa-east', 'South America East', -47, -24], ['sa-west', 'South America West', -71, -33],
      ['ap', 'Asia Pacific', 110, 15], ['asia', 'Asia', 100, 30], ['asia-east', 'East Asia', 121, 24],
      ['asia-south', 'South Asia', 73, 19], ['asia-southeast', 'Southeast Asia', 104, 1], ['asia-northeast', 'Northeast Asia', 140, 36],
      ['ap-east', 'Asia Pacific East', 114, 22], ['ap-south', 'Asia Pacific South', 73, 19],
      ['ap-southeast', 'Asia Pacific Southeast', 104, 1], ['ap-northeast', 'Asia Pacific Northeast', 140, 36],
      ['me', 'Middle East', 48, 26], ['me-south', 'Middle East South', 51, 26], ['me-central', 'Middle East Central', 54, 24],
      ['af', 'Africa', 20, 5], ['af-south', 'Southern Africa', 18, -34], ['oceania', 'Oceania', 140, -25],
      // Countries, by ISO 3166's two letters, where no part of the world has them.
      ['at', 'Austria', 14, 47.5], ['au', 'Australia', 134, -25], ['be', 'Belgium', 4.5, 50.6], ['br', 'Brazil', -51, -10],
      ['ch', 'Switzerland', 8.2, 46.8], ['cl', 'Chile', -71, -33], ['cn', 'China', 104, 35], ['cz', 'Czechia', 15, 49.8],
      ['de', 'Germany', 10.4, 51.1], ['dk', 'Denmark', 9.5, 56], ['ee', 'Estonia', 25.5, 58.7], ['es', 'Spain', -3.7, 40.3],
      ['fi', 'Finland', 26, 63], ['fr', 'France', 2.4, 46.6], ['gb', 'United Kingdom', -2, 54], ['uk', 'United Kingdom', -2, 54],
      ['hk', 'Hong Kong', 114.2, 22.3], ['id', 'Indonesia', 107, -6.2], ['ie', 'Ireland', -8, 53.2], ['il', 'Israel', 35, 31.5],
      ['in', 'India', 79, 22], ['is', 'Iceland', -19, 65], ['it', 'Italy', 12.5, 42.8], ['jp', 'Japan', 138, 36.5],
      ['kr', 'South Korea', 127.8, 36.5], ['lt', 'Lithuania', 24, 55.3], ['lv', 'Latvia', 25, 57], ['mx', 'Mexico', -102, 23.5],
      ['my', 'Malaysia', 102, 4], ['nl', 'Netherlands', 5.3, 52.2], ['no', 'Norway', 9, 61], ['nz', 'New Zealand', 173, -41],
      ['pl', 'Poland', 19.3, 52.1], ['pt', 'Portugal', -8, 39.6], ['ro', 'Romania', 25, 45.9], ['se', 'Sweden', 15, 61],
      ['sg', 'Singapore', 103.8, 1.35], ['th', 'Thailand', 101, 15], ['tr', 'Türkiye', 35, 39], ['tw', 'Taiwan', 121, 23.8],
      ['ua', 'Ukraine', 31, 49], ['vn', 'Vietnam', 107, 16], ['za', 'South Africa', 24, -29],
    ] as const
  ).map(([region, name, longitude, latitude]) => [region, { name, at: [longitude, latitude] as const }]),
);

/** Every region that has a place, for docs/dashboard.md and the tests. */
export const REGIONS: readonly string[] = Object.keys(PLACES);

/** `eu-west-1` is where `eu-west` is, and `us-east4` where `us-east`; null: it is no region that is known. */
export function placeOf(region: string): Place | null {
  let name = region.toLowerCase().replaceAll(/[._]/g, '-');
  while (name !== '') {
    const bare = name.replace(/\d+$/, '');
    const place = Object.hasOwn(PLACES, name) ? PLACES[name] : Object.hasOwn(PLACES, bare) ? PLACES[bare] : undefined;
    if (place !== undefined) return place;
    name = name.slice(0, Math.max(0, name.lastIndexOf('-')));
  }
  return null;
}
