/* The promise: open_escrow, accept_escrow, top_up, extend. */
#include "settlement.h"

/* Whatever backs a promise as stake when it is made can be slashed until a dispute about it ends:
 * the provider has its minimum staked now, and stake asked back from now on unbonds no earlier than
 * `deadline` and the escrow's own windows. */
ALWAYS_INLINE u64 check_backing(const config_account *config, const provider_account *provider,
                                i64 deadline, i64 windows) {
    i64 start = now();
    REQUIRE(deadline > start && deadline - start <= config->terms.unbonding_window - windows,
            ERR_WRONG_TIME);
    REQUIRE(provider->staked >= config->terms.min_stake, ERR_INSUFFICIENT_STAKE);
    return 0;
}

/*
 * open_escrow: promise a part of the client's balance to a provider for one job.
 *
 * Accounts
 *   0 authority  signer, writable   client's owner or operator; pays the rent and gets it back
 *   1 config
 *   2 client     writable
 *   3 provider   writable
 *   4 escrow     writable           created
 *   5 system program
 * Arguments: job_id 32 bytes, max u64, deadline i64, voucher_signer pubkey, needs_acceptance u8
 * Before: not paused; 0 < max <= balance - locked, and within what is left of the operator's limit;
 *   the provider's stake is at least min_stake; now < deadline, and
 *   deadline - now <= unbonding - grace - arbitration, so that stake which backs this job when it
 *   opens is still slashable when a dispute about it ends; no open escrow of this client has this
 *   job id; voucher_signer is not zero.
 * After: max is locked; the escrow carries the terms of today and a sequence number of its own. With
 *   needs_acceptance it is only offered: the client may cancel it until the provider accepts.
 */
static u64 open_escrow(void) {
    enum { AUTHORITY, CONFIG, CLIENT, PROVIDER, ESCROW, SYSTEM, ACCOUNTS };
    enum {
        JOB_ID = 0,
        MAX = 32,
        DEADLINE = 40,
        VOUCHER_SIGNER = 48,
        NEEDS_ACCEPTANCE = 80,
        ARGS_LEN = 81
    };
    TRY(expect(ACCOUNTS, ARGS_LEN));
    config_account *config;
    client_account *client;
    provider_account *provider;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_client(CLIENT, CONFIG, WRITABLE, &client));
    TRY(load_provider(PROVIDER, CONFIG, WRITABLE, &provider));
    TRY(check_program(SYSTEM, &SYSTEM_PROGRAM));
    REQUIRE(!config->paused, ERR_PAUSED);
    u64 is_operator;
    TRY(check_client_authority(AUTHORITY, client, &is_operator));

    i64 deadline = arg_i64(DEADLINE);
    TRY(check_backing(config, provider, deadline,
                      config->terms.grace_window + config->terms.arbitration_window));
    u64 max = arg_u64(MAX);
    REQUIRE(max > 0, ERR_WRONG_AMOUNT);
    pubkey voucher_signer = arg_key(VOUCHER_SIGNER);
    REQUIRE(!is_zero_key(&voucher_signer), ERR_INSTRUCTION_DATA);
    u8 needs_acceptance = SCRATCH->args[NEEDS_ACCEPTANCE];
    REQUIRE(needs_acceptance <= 1, ERR_INSTRUCTION_DATA);

    TRY(lock_balance(client, max));
    client->open_escrows++;
    client->sequence++;
    provider->open_escrows++;

    set_seed(0, "escrow", 6);
    set_seed(1, ACCOUNT(CLIENT)->key, 32);
    set_seed(2, SCRATCH->args + JOB_ID, 32);
    TRY(create_account(AUTHORITY, ESCROW, 3, sizeof(escrow_account), SCRATCH->program_id));
    escrow_account *escrow = (escrow_account *)ACCOUNT(ESCROW)->data;
    escrow->tag = TAG_ESCROW;
    escrow->version = ACCOUNT_VERSION;
    escrow->bump = SCRATCH->derived_bump;
    escrow->state = needs_acceptance ? ESCROW_OFFERED : ESCROW_OPEN;
    escrow->fee_bps = config->terms.fee_bps;
    escrow->slash_bps = config->terms.slash_bps;
    escrow->config = *ACCOUNT(CONFIG)->key;
    escrow->client = *ACCOUNT(CLIENT)->key;
    escrow->provider = *ACCOUNT(PROVIDER)->key;
    escrow->job_id = arg_key(JOB_ID);
    escrow->rent_payer = *ACCOUNT(AUTHORITY)->key;
    escrow->voucher_signer = voucher_signer;
    escrow->sequence = client->sequence;
    escrow->max = max;
    escrow->opened = SCRATCH->clock.unix_timestamp;
    escrow->deadline = deadline;
    escrow->claim_until = deadline + config->terms.grace_window;
    escrow->grace_window = config->terms.grace_window;
    escrow->arbitration_window = config->terms.arbitration_window;
    escrow->dispute_bond = config->terms.dispute_bond;
    escrow->opened_by_operator = is_operator;
    return is_operator ? charge_operator(client, escrow, max) : 0;
}

/*
 * accept_escrow: the provider takes an offered escrow on.
 *
 * Accounts
 *   0 provider owner signer
 *   1 config
 *   2 provider
 *   3 escrow         writable
 * Arguments: none
 * Before: not paused; the escrow, of this provider, is offered; its deadline has not passed.
 * After: it is open: the client can no longer cancel it. To decline instead: relinquish.
 */
static u64 accept_escrow(void) {
    enum { OWNER, CONFIG, PROVIDER, ESCROW, ACCOUNTS };
    TRY(expect(ACCOUNTS, 0));
    config_account *config;
    provider_account *provider;
    escrow_account *escrow;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_provider(PROVIDER, CONFIG, READ_ONLY, &provider));
    TRY(load_escrow(ESCROW, CONFIG, &escrow));
    TRY(check_link(&escrow->provider, PROVIDER));
    TRY(check_authority(OWNER, &provider->owner));
    REQUIRE(!config->paused, ERR_PAUSED);
    REQUIRE(escrow->state == ESCROW_OFFERED, ERR_WRONG_STATE);
    REQUIRE(now() < escrow->deadline, ERR_WRONG_TIME);

    escrow->state = ESCROW_OPEN;
    return 0;
}

/* Accounts of the two instructions that make an escrow larger or longer. */
enum { GROW_AUTHORITY, GROW_CONFIG, GROW_CLIENT, GROW_PROVIDER, GROW_ESCROW, GROW_ACCOUNTS };

/* Check them, and remember the four state accounts in SCRATCH. A disputed escrow stays as it is, and
 * one that anybody may refund is over. */
ALWAYS_INLINE u64 load_growing(u64 client_access, u64 *is_operator) {
    scratch *s = SCRATCH;
    TRY(load_config(GROW_CONFIG, READ_ONLY, &s->config));
    TRY(load_client(GROW_CLIENT, GROW_CONFIG, client_access, &s->client));
    TRY(load_provider(GROW_PROVIDER, GROW_CONFIG, READ_ONLY, &s->provider));
    TRY(load_escrow(GROW_ESCROW, GROW_CONFIG, &s->escrow));
    TRY(check_link(&s->escrow->client, GROW_CLIENT));
    TRY(check_link(&s->escrow->provider, GROW_PROVIDER));
    TRY(check_escrow_authority(GROW_AUTHORITY, s->client, s->escrow, is_operator));
    REQUIRE(!s->config->paused, ERR_PAUSED);
    REQUIRE(s->escrow->state != ESCROW_DISPUTED, ERR_WRONG_STATE);
    REQUIRE(now() <= s->escrow->claim_until, ERR_WRONG_TIME);
    return 0;
}

/*
 * top_up: promise more to an escrow, so that one escrow serves a client and a provider for long.
 *
 * Accounts
 *   0 authority  signer             client's owner, or operator if an operator opened the escrow
 *   1 config
 *   2 client     writable
 *   3 provider
 *   4 escrow     writable
 * Arguments: amount u64
 * Before: not paused; the escrow is open or offered, and claim_until has not passed; the amount is
 *   above 0, at most balance - locked, and within what is left of the operator's limit.
 * After: the amount is locked, and max grew by it. Vouchers go on counting from where they were.
 */
static u64 top_up(void) {
    TRY(expect(GROW_ACCOUNTS, 8));
    u64 is_operator;
    TRY(load_growing(WRITABLE, &is_operator));
    u64 amount = arg_u64(0);
    REQUIRE(amount > 0, ERR_WRONG_AMOUNT);

    TRY(lock_balance(SCRATCH->client, amount));
    if (is_operator) TRY(charge_operator(SCRATCH->client, SCRATCH->escrow, amount));
    return add_to(&SCRATCH->escrow->max, amount);
}

/*
 * extend: move an escrow's deadline on.
 *
 * Accounts
 *   0 authority  signer             client's owner, or operator if an operator opened the escrow
 *   1 config
 *   2 client
 *   3 provider
 *   4 escrow     writable
 * Arguments: deadline i64
 * Before: not paused; the escrow is open or offered, and claim_until has not passed; the deadline is
 *   later than the escrow's; open_escrow's rules about stake and the longest escrow hold as if it
 *   opened now, with its own windows.
 * After: deadline and claim_until moved; a final release that the client has declared is undone. The
 *   provider is bound to nothing: it can relinquish, or close with its last voucher.
 */
static u64 extend(void) {
    TRY(expect(GROW_ACCOUNTS, 8));
    u64 is_operator;
    TRY(load_growing(READ_ONLY, &is_operator));
    escrow_account *escrow = SCRATCH->escrow;
    i64 deadline = arg_i64(0);
    REQUIRE(deadline > escrow->deadline, ERR_WRONG_TIME);
    TRY(check_backing(SCRATCH->config, SCRATCH->provider, deadline,
                      escrow->grace_window + escrow->arbitration_window));

    escrow->deadline = deadline;
    escrow->claim_until = deadline + escrow->grace_window;
    return 0;
}
