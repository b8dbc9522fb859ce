/* The life of an escrow without a quarrel: open_escrow, release, refund, relinquish. */
#include "settlement.h"

/*
 * open_escrow: promise a part of the client's balance to a provider for one job.
 *
 * Accounts
 *   0 authority  signer, writable   client's owner or operator; pays the rent and gets it back
 *   1 config
 *   2 client     writable
 *   3 provider
 *   4 escrow     writable           created
 *   5 system program
 * Arguments: job_id 32 bytes, max u64, deadline i64, voucher_signer pubkey
 * Before: not paused; 0 < max <= balance - locked, and within what is left of the operator's limit;
 *   the provider's stake is at least min_stake; now < deadline, and
 *   deadline - now <= unbonding - grace - arbitration, so that stake which backs this job when it
 *   opens is still slashable when a dispute about it ends; no open escrow of this client has this
 *   job id; voucher_signer is not zero.
 * After: max is locked; the escrow carries the fee of today and a sequence number of its own.
 */
static u64 open_escrow(void) {
    enum { AUTHORITY, CONFIG, CLIENT, PROVIDER, ESCROW, SYSTEM, ACCOUNTS };
    enum { JOB_ID = 0, MAX = 32, DEADLINE = 40, VOUCHER_SIGNER = 48, ARGS_LEN = 80 };
    TRY(expect(ACCOUNTS, ARGS_LEN));
    config_account *config;
    client_account *client;
    provider_account *provider;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_client(CLIENT, CONFIG, WRITABLE, &client));
    TRY(load_provider(PROVIDER, CONFIG, READ_ONLY, &provider));
    TRY(check_program(SYSTEM, &SYSTEM_PROGRAM));
    REQUIRE(!config->paused, ERR_PAUSED);
    u64 is_operator;
    TRY(check_client_authority(AUTHORITY, client, &is_operator));

    i64 opened = now();
    i64 deadline = arg_i64(DEADLINE);
    i64 longest = config->unbonding_window - config->grace_window - config->arbitration_window;
    REQUIRE(deadline > opened && deadline - opened <= longest, ERR_WRONG_TIME);
    REQUIRE(provider->staked >= config->min_stake, ERR_INSUFFICIENT_STAKE);
    u64 max = arg_u64(MAX);
    REQUIRE(max > 0, ERR_WRONG_AMOUNT);
    u64 available = client->balance;
    TRY(take_from(&available, client->locked, ERR_OVERFLOW));
    REQUIRE(max <= available, ERR_INSUFFICIENT_BALANCE);
    pubkey voucher_signer = arg_key(VOUCHER_SIGNER);
    REQUIRE(!is_zero_key(&voucher_signer), ERR_INSTRUCTION_DATA);

    if (is_operator) TRY(take_from(&client->operator_limit, max, ERR_OVER_LIMIT));
    client->locked += max;
    client->open_escrows++;
    client->sequence++;

    set_seed(0, "escrow", 6);
    set_seed(1, ACCOUNT(CLIENT)->key, 32);
    set_seed(2, SCRATCH->args + JOB_ID, 32);
    TRY(create_account(AUTHORITY, ESCROW, 3, sizeof(escrow_account), SCRATCH->program_id));
    escrow_account *escrow = (escrow_account *)ACCOUNT(ESCROW)->data;
    escrow->tag = TAG_ESCROW;
    escrow->version = ACCOUNT_VERSION;
    escrow->bump = SCRATCH->derived_bump;
    escrow->state = ESCROW_OPEN;
    escrow->fee_bps = config->fee_bps;
    escrow->opened_by_operator = is_operator;
    escrow->config = *ACCOUNT(CONFIG)->key;
    escrow->client = *ACCOUNT(CLIENT)->key;
    escrow->provider = *ACCOUNT(PROVIDER)->key;
    escrow->job_id = arg_key(JOB_ID);
    escrow->rent_payer = *ACCOUNT(AUTHORITY)->key;
    escrow->voucher_signer = voucher_signer;
    escrow->sequence = client->sequence;
    escrow->max = max;
    escrow->opened = opened;
    escrow->deadline = deadline;
    escrow->claim_until = deadline + config->grace_window;
    return 0;
}

/*
 * release: the client pays the provider directly.
 *
 * Accounts
 *   0 authority     signer          client's owner, or operator if an operator opened the escrow
 *   1 config
 *   2 client        writable
 *   3 provider      writable
 *   4 escrow        writable
 *   5 client vault  writable
 *   6 payout        writable        token account of the provider's payout_owner
 *   7 treasury      writable
 *   8 token program
 *   + provider owner signer         to close now
 *   + rent payer    writable        to close now, unless listed already
 * Arguments: amount u64, final u8, expected_released u64
 * Before: the escrow is open; expected_released is what it has released (compare and set: a retry
 *   that was signed again can never pay twice); amount <= max - released; amount > 0 or final.
 * After: the amount is paid. final with the provider's signature closes the escrow. final without it
 *   only starts the challenge window: the provider has the grace window to redeem vouchers or to
 *   dispute before anybody can refund. A client must never be able to pull the rest back alone.
 */
static u64 release(void) {
    enum { AMOUNT = 0, FINAL = 8, EXPECTED_RELEASED = 9, ARGS_LEN = 17 };
    TRY(expect(PAY_ACCOUNTS, ARGS_LEN));
    TRY(load_payment());
    escrow_account *escrow = SCRATCH->escrow;
    provider_account *provider = SCRATCH->provider;
    TRY(check_escrow_authority(PAY_FIRST, SCRATCH->client, escrow));
    u64 amount = arg_u64(AMOUNT);
    u8 final = SCRATCH->args[FINAL];
    REQUIRE(final <= 1, ERR_INSTRUCTION_DATA);
    REQUIRE(amount > 0 || final, ERR_WRONG_AMOUNT);
    REQUIRE(escrow->state == ESCROW_OPEN, ERR_WRONG_STATE);
    REQUIRE(arg_u64(EXPECTED_RELEASED) == escrow->released, ERR_STALE_RELEASE);

    if (final && has_signed(&provider->owner)) {
        provider->jobs_completed++;
        return settle(amount, CLOSE);
    }
    if (final) {
        i64 challenge_until = now() + SCRATCH->config->grace_window;
        if (challenge_until < escrow->claim_until) escrow->claim_until = challenge_until;
    }
    return settle(amount, KEEP_OPEN);
}

/*
 * refund: return what an expired escrow still holds to the client's unlocked balance.
 *
 * Accounts
 *   0 config
 *   1 client     writable
 *   2 escrow     writable
 *   3 rent payer writable
 * Arguments: none. Nobody needs to sign.
 * Before: claim_until has passed; for a disputed escrow the arbitration window after it too, so
 *   that a silent arbiter cannot lock money for ever.
 * After: the rest is unlocked, the escrow is closed, its rent is returned.
 */
static u64 refund(void) {
    enum { CONFIG, CLIENT, ESCROW, RENT_PAYER, ACCOUNTS };
    TRY(expect(ACCOUNTS, 0));
    config_account *config;
    client_account *client;
    escrow_account *escrow;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_client(CLIENT, CONFIG, WRITABLE, &client));
    TRY(load_escrow(ESCROW, CONFIG, &escrow));
    TRY(check_link(&escrow->client, CLIENT));
    TRY(check_link(&escrow->rent_payer, RENT_PAYER));
    i64 window = escrow->state == ESCROW_DISPUTED ? config->arbitration_window : 0;
    REQUIRE(now() > escrow->claim_until + window, ERR_WRONG_TIME);

    TRY(unlock_rest(client, escrow));
    return return_rent(ESCROW, escrow);
}

/*
 * relinquish: the provider gives up whatever the escrow still holds, so that a job which failed
 * frees the client's money at once and not at its deadline.
 *
 * Accounts
 *   0 provider owner signer
 *   1 config
 *   2 client         writable
 *   3 provider
 *   4 escrow         writable
 *   5 rent payer     writable       unless it is the provider owner, who is then writable
 *   + client owner   signer         while the escrow is disputed: the two settle their dispute
 * Arguments: none
 * Before: the provider's owner signed; in a dispute the client's owner too.
 * After: nothing is paid; the rest is unlocked, the escrow is closed, its rent is returned.
 */
static u64 relinquish(void) {
    enum { OWNER, CONFIG, CLIENT, PROVIDER, ESCROW, ACCOUNTS };
    TRY(expect(ACCOUNTS, 0));
    config_account *config;
    client_account *client;
    provider_account *provider;
    escrow_account *escrow;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_client(CLIENT, CONFIG, WRITABLE, &client));
    TRY(load_provider(PROVIDER, CONFIG, READ_ONLY, &provider));
    TRY(load_escrow(ESCROW, CONFIG, &escrow));
    TRY(check_link(&escrow->client, CLIENT));
    TRY(check_link(&escrow->provider, PROVIDER));
    TRY(check_authority(OWNER, &provider->owner));
    TRY(check_provider_may_close(client, provider, escrow));

    TRY(unlock_rest(client, escrow));
    return return_rent(ESCROW, escrow);
}
