// What there is, what was paid, and moving it. Whatever moves money answers a transfer, with the transaction that the
// account's wallet has to sign; nothing moves before it is signed and submitted.

import { path } from '../path.js';
import type {
  BillingBalanceView,
  CreditsRequest,
  DepositListView,
  DepositRequest,
  EarningsSummaryView,
  HistoryView,
  InvoiceDetailView,
  InvoiceListView,
  JobEarningsListView,
  OperatorRequest,
  PayoutListView,
  PayoutRequest,
  ProviderTaskListView,
  ResourceListView,
  ResourceView,
  StakeRequest,
  StakeView,
  TransferListView,
  TransferView,
  WalletBalanceView,
  WithdrawalRequest,
} from '../schema.js';
import type { CallOptions } from '../transport.js';
import { Group, type PageQuery } from './group.js';

/** Days of UTC, as `2030-01-31`; both are counted. */
export interface Days {
  start_date?: string;
  end_date?: string;
}

export class Wallet extends Group {
  balance(options?: CallOptions): Promise<WalletBalanceView> {
    return this.read('/wallet/balance', undefined, options);
  }

  deposit(request: DepositRequest, options?: CallOptions): Promise<TransferView> {
    return this.send('/wallet/deposits', request, options);
  }

  deposits(query?: PageQuery, options?: CallOptions): Promise<DepositListView> {
    return this.read('/wallet/deposits', query, options);
  }

  withdraw(request: WithdrawalRequest, options?: CallOptions): Promise<TransferView> {
    return this.send('/wallet/withdrawals', request, options);
  }

  /** How much the coordinator may lock in escrows in the wallet's name. */
  setOperator(request: OperatorRequest, options?: CallOptions): Promise<TransferView> {
    return this.send('/wallet/operator', request, options);
  }

  transfer(transferId: string, options?: CallOptions): Promise<TransferView> {
    return this.read(path`/wallet/transfers/${transferId}`, undefined, options);
  }

  transfers(query?: PageQuery & { kind?: TransferView['kind'] }, options?: CallOptions): Promise<TransferListView> {
    return this.read('/wallet/transfers', query, options);
  }

  /** Hand in what the wallet has signed, base64. It is carried out once, however often it is handed in. */
  submit(transferId: string, signedTransaction: string, options?: CallOptions): Promise<TransferView> {
    return this.send(
      path`/wallet/transfers/${transferId}/submit`,
      { signed_transaction: signedTransaction },
      options,
    );
  }
}

export class Billing extends Group {
  balance(options?: CallOptions): Promise<BillingBalanceView> {
    return this.read('/billing/balance', undefined, options);
  }

  addCredits(request: CreditsRequest, options?: CallOptions): Promise<TransferView> {
    return this.send('/billing/credits', request, options);
  }

  /** For each run of a task: what was locked, paid and came back. */
  history(query?: Days & PageQuery, options?: CallOptions): Promise<HistoryView> {
    return this.read('/billing/history', query, options);
  }

  /** The same as CSV. */
  historyCsv(query?: Days, options?: CallOptions): Promise<string> {
    return this.transport.text('/api/v1/billing/history', { ...options, query: { ...query, format: 'csv' } });
  }

  invoices(query?: PageQuery, options?: CallOptions): Promise<InvoiceListView> {
    return this.read('/billing/invoices', query, options);
  }

  invoice(invoiceId: string, query?: PageQuery, options?: CallOptions): Promise<InvoiceDetailView> {
    return this.read(path`/billing/invoices/${invoiceId}`, query, options);
  }

  async invoicePdf(invoiceId: string, options?: CallOptions): Promise<Blob> {
    const data = await this.transport.bytes(path`/api/v1/billing/invoices/${invoiceId}.pdf`, options);
    return new Blob([data], { type: 'application/pdf' });
  }
}

/** The account as one that offers machines. */
export class Provider extends Group {
  earnings(query?: Days, options?: CallOptions): Promise<EarningsSummaryView> {
    return this.read('/provider/earnings', query, options);
  }

  jobs(query?: Days & PageQuery & { status?: string }, options?: CallOptions): Promise<JobEarningsListView> {
    return this.read('/provider/earnings/jobs', query, options);
  }

  claim(leaseId: string, options?: CallOptions): Promise<TransferView> {
    return this.send(path`/provider/earnings/${leaseId}/claim`, undefined, options);
  }

  requestPayout(request: PayoutRequest, options?: CallOptions): Promise<TransferView> {
    return this.send('/provider/payouts', request, options);
  }

  payouts(query?: PageQuery, options?: CallOptions): Promise<PayoutListView> {
    return this.read('/provider/payouts', query, options);
  }

  resources(query?: PageQuery & { type?: string; status?: string }, options?: CallOptions): Promise<ResourceListView> {
    return this.read('/provider/resources', query, options);
  }

  resource(resourceId: string, options?: CallOptions): Promise<ResourceView> {
    return this.read(path`/provider/resources/${resourceId}`, undefined, options);
  }

  tasks(query?: PageQuery, options?: CallOptions): Promise<ProviderTaskListView> {
    return this.read('/provider/tasks', query, options);
  }

  stakeStatus(options?: CallOptions): Promise<StakeView> {
    return this.read('/provider/stake', undefined, options);
  }

  stake(request: StakeRequest, options?: CallOptions): Promise<TransferView> {
    return this.send('/provider/stake', request, options);
  }

  unstake(request: StakeRequest, options?: CallOptions): Promise<TransferView> {
    return this.send('/provider/stake/unstake', request, options);
  }

  rebond(request: StakeRequest, options?: CallOptions): Promise<TransferView> {
    return this.send('/provider/stake/rebond', request, options);
  }

  withdrawStake(options?: CallOptions): Promise<TransferView> {
    return this.send('/provider/stake/withdraw', undefined, options);
  }

  closeStake(options?: CallOptions): Promise<TransferView> {
    return this.send('/provider/stake/close', undefined, options);
  }
}
