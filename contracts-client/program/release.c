/* How an escrow pays without a voucher, and how it ends without a quarrel: release, refund,
 * relinquish, cancel_escrow. */
#include "settlement.h"

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
    u64 is_operator;
    TRY(check_escrow_authority(PAY_FIRST, SCRATCH->client, escrow, &is_operator));
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
        i64 challenge_until = now() + escrow->grace_window;
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
 *   2 provider   writable
 *   3 escrow     writable
 *   4 rent payer writable
 * Arguments: none. Nobody needs to sign.
 * Before: claim_until has passed; for a disputed escrow the arbitration window after it too, so
 *   that a silent arbiter cannot lock money for ever.
 * After: the rest is unlocked, a bond is back with who posted it, the escrow is closed, its rent is
 *   returned.
 */
static u64 refund(void) {
    enum { CONFIG, CLIENT, PROVIDER, ESCROW, RENT_PAYER, ACCOUNTS };
    TRY(expect(ACCOUNTS, 0));
    config_account *config;
    client_account *client;
    provider_account *provider;
    escrow_account *escrow;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_client(CLIENT, CONFIG, WRITABLE, &client));
    TRY(load_provider(PROVIDER, CONFIG, WRITABLE, &provider));
    TRY(load_escrow(ESCROW, CONFIG, &escrow));
    TRY(check_link(&escrow->client, CLIENT));
    TRY(check_link(&escrow->provider, PROVIDER));
    TRY(check_link(&escrow->rent_payer, RENT_PAYER));
    i64 window = escrow->state == ESCROW_DISPUTED ? escrow->arbitration_window : 0;
    REQUIRE(now() > escrow->claim_until + window, ERR_WRONG_TIME);

    TRY(end_escrow(client, provider, escrow));
    return return_rent(ESCROW, escrow);
}

/*
 * relinquish: the provider gives up whatever the escrow still holds, so that a job which failed
 * frees the client's money at once and not at its deadline. Also how it declines an offer.
 *
 * Accounts
 *   0 provider owner signer
 *   1 config
 *   2 client         writable
 *   3 provider       writable
 *   4 escrow         writable
 *   + rent payer     writable       unless it is the provider owner, who is then writable
 *   + client owner   signer         while the escrow is disputed: the two settle their dispute
 * Arguments: none
 * Before: the provider's owner signed; in a dispute the client's owner too.
 * After: nothing is paid; the rest is unlocked, a bond is back with who posted it, the escrow is
 *   closed, its rent is returned.
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
    TRY(load_provider(PROVIDER, CONFIG, WRITABLE, &provider));
    TRY(load_escrow(ESCROW, CONFIG, &escrow));
    TRY(check_link(&escrow->client, CLIENT));
    TRY(check_link(&escrow->provider, PROVIDER));
    TRY(check_authority(OWNER, &provider->owner));
    TRY(check_provider_may_close(client, provider, escrow));

    TRY(end_escrow(client, provider, escrow));
    return return_rent(ESCROW, escrow);
}

/*
 * cancel_escrow: take back an offer that the provider has not accepted.
 *
 * Accounts
 *   0 authority      signer         client's owner, or operator if an operator opened the escrow
 *   1 config
 *   2 client         writable
 *   3 provider       writable
 *   4 escrow         writable
 *   + rent payer     writable       unless it is the authority, who is then writable
 * Arguments: none
 * Before: the escrow is offered. Once the provider has accepted, the client cannot leave alone.
 * After: nothing is paid; the whole is unlocked, the escrow is closed, its rent is returned.
 */
static u64 cancel_escrow(void) {
    enum { AUTHORITY, CONFIG, CLIENT, PROVIDER, ESCROW, ACCOUNTS };
    TRY(expect(ACCOUNTS, 0));
    config_account *config;
    client_account *client;
    provider_account *provider;
    escrow_account *escrow;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_client(CLIENT, CONFIG, WRITABLE, &client));
    TRY(load_provider(PROVIDER, CONFIG, WRITABLE, &provider));
    TRY(load_escrow(ESCROW, CONFIG, &escrow));
    TRY(check_link(&escrow->client, CLIENT));
    TRY(check_link(&escrow->provider, PROVIDER));
    u64 is_operator;
    TRY(check_escrow_authority(AUTHORITY, client, escrow, &is_operator));
    REQUIRE(escrow->state == ESCROW_OFFERED, ERR_WRONG_STATE);

    TRY(end_escrow(client, provider, escrow));
    return return_rent(ESCROW, escrow);
}
