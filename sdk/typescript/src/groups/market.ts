// Who offers what, at which price.

import { path } from '../path.js';
import type {
  AllTasksMetricsView,
  AttributeListView,
  CommitmentListView,
  EvidenceListView,
  GpuStatusView,
  MarketPricesView,
  NodeDetailView,
  NodeListView,
  NodeView,
  OperationListView,
  PerformanceView,
  ProviderDetailView,
  ProviderListView,
  ProviderView,
  ReputationView,
  StatsView,
  UsageView,
} from '../schema.js';
import type { CallOptions } from '../transport.js';
import { Group, type PageQuery } from './group.js';

export interface NodeQuery extends PageQuery {
  status?: NodeView['status'];
  region?: string;
}

export interface ProviderQuery extends PageQuery {
  gpu_model?: string;
  gpu_memory_min?: number;
  gpu_count_min?: number;
  cpu_cores_min?: number;
  ram_gb_min?: number;
  storage_gb_min?: number;
  /** USDC an hour. */
  max_price?: string;
  location?: string;
  score_min?: number;
  status?: string;
  available?: boolean;
}

export class Nodes extends Group {
  get(nodeId: string, options?: CallOptions): Promise<NodeDetailView> {
    return this.read(path`/nodes/${nodeId}`, undefined, options);
  }

  list(query?: NodeQuery, options?: CallOptions): Promise<NodeListView> {
    return this.read('/nodes', query, options);
  }

  each(query?: NodeQuery, options?: CallOptions): AsyncGenerator<NodeView, void> {
    return this.every('nodes', query, (page) => this.list({ ...query, ...page }, options));
  }

  reputation(nodeId: string, query?: { limit?: number }, options?: CallOptions): Promise<ReputationView> {
    return this.read(path`/nodes/${nodeId}/reputation`, query, options);
  }

  evidence(nodeId: string, query?: { limit?: number }, options?: CallOptions): Promise<EvidenceListView> {
    return this.read(path`/nodes/${nodeId}/evidence`, query, options);
  }

  /** What was said in a challenge, as it was signed; `neurogrid evidence verify` checks it. */
  challengeEvidence(challengeId: string, options?: CallOptions): Promise<string> {
    return this.transport.text(path`/api/v1/challenges/${challengeId}/evidence`, options);
  }

  /** What the coordinator has committed to of its spot checks, day by day. */
  commitments(options?: CallOptions): Promise<CommitmentListView> {
    return this.read('/verification/commitments', undefined, options);
  }
}

export class Providers extends Group {
  get(providerId: string, options?: CallOptions): Promise<ProviderDetailView> {
    return this.read(path`/providers/${providerId}`, undefined, options);
  }

  list(query?: ProviderQuery, options?: CallOptions): Promise<ProviderListView> {
    return this.read('/providers', query, options);
  }

  each(query?: ProviderQuery, options?: CallOptions): AsyncGenerator<ProviderView, void> {
    return this.every('providers', query, (page) => this.list({ ...query, ...page }, options));
  }
}

/** What is known of the whole market, and of what the account has used. */
export class Market extends Group {
  prices(query?: { hours?: number; class?: string }, options?: CallOptions): Promise<MarketPricesView> {
    return this.read('/market/prices', query, options);
  }

  /** What conditions on nodes may be about. */
  constraints(options?: CallOptions): Promise<AttributeListView> {
    return this.read('/constraints', undefined, options);
  }

  /** What tasks of kind `operation` may ask for. */
  operations(options?: CallOptions): Promise<OperationListView> {
    return this.read('/operations', undefined, options);
  }

  stats(options?: CallOptions): Promise<StatsView> {
    return this.read('/analytics/stats', undefined, options);
  }

  performance(query?: { timeframe?: string; metric?: string }, options?: CallOptions): Promise<PerformanceView> {
    return this.read('/analytics/performance', query, options);
  }

  usage(options?: CallOptions): Promise<UsageView> {
    return this.read('/analytics/usage', undefined, options);
  }

  gpus(options?: CallOptions): Promise<GpuStatusView> {
    return this.read('/analytics/gpus', undefined, options);
  }

  taskMetrics(
    query?: { period?: string; status?: string; type?: string; model?: string },
    options?: CallOptions,
  ): Promise<AllTasksMetricsView> {
    return this.read('/metrics/tasks', query, options);
  }
}
