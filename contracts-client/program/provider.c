/* Providers and their stake: register_provider, stake, request_unstake, withdraw_stake, slash. */
#include "tokens.h"

/*
 * register_provider: create a provider and its vault.
 *
 * Accounts
 *   0 owner      signer, writable   pays the rent; part of the address
 *   1 config
 *   2 provider   writable           created
 *   3 vault      writable           created
 *   4 mint
 *   5 system program
 *   6 token program
 * Arguments: payout_owner pubkey
 * Before: the owner has no provider account in this market; payout_owner is not zero.
 * After: payments go to token accounts of payout_owner only. It cannot be changed, so a stolen owner
 *   key cannot redirect pay to the thief.
 */
static u64 register_provider(void) {
    enum { OWNER, CONFIG, PROVIDER, VAULT, MINT, SYSTEM, TOKEN, ACCOUNTS };
    TRY(expect(ACCOUNTS, 32));
    TRY(check_signer(OWNER));
    config_account *config;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    REQUIRE(same_key(ACCOUNT(MINT)->key, &config->usdc_mint), ERR_WRONG_MINT);
    TRY(check_program(SYSTEM, &SYSTEM_PROGRAM));
    TRY(check_program(TOKEN, &TOKEN_PROGRAM));
    pubkey payout_owner = arg_key(0);
    REQUIRE(!is_zero_key(&payout_owner), ERR_INSTRUCTION_DATA);

    set_seed(0, "provider", 8);
    set_seed(1, ACCOUNT(CONFIG)->key, 32);
    set_seed(2, ACCOUNT(OWNER)->key, 32);
    TRY(create_account(OWNER, PROVIDER, 3, sizeof(provider_account), SCRATCH->program_id));
    provider_account *provider = (provider_account *)ACCOUNT(PROVIDER)->data;
    provider->tag = TAG_PROVIDER;
    provider->version = ACCOUNT_VERSION;
    provider->bump = SCRATCH->derived_bump;
    provider->config = *ACCOUNT(CONFIG)->key;
    provider->owner = *ACCOUNT(OWNER)->key;
    provider->payout_owner = payout_owner;
    provider->vault = *ACCOUNT(VAULT)->key;
    /* Proves that VAULT is the one vault of PROVIDER, or the whole instruction fails. */
    return create_vault(OWNER, VAULT, PROVIDER, MINT);
}

/*
 * stake: add to a provider's stake. Anybody may add to anybody's.
 *
 * Accounts
 *   0 funder     signer             may move the source's tokens
 *   1 config
 *   2 provider   writable
 *   3 vault      writable
 *   4 source     writable           token account
 *   5 token program
 * Arguments: amount u64
 * Before: not paused; amount > 0.
 * After: the amount moved to the vault, and staked grew by it.
 */
static u64 stake(void) {
    enum { FUNDER, CONFIG, PROVIDER, VAULT, SOURCE, TOKEN, ACCOUNTS };
    TRY(expect(ACCOUNTS, 8));
    TRY(check_signer(FUNDER));
    config_account *config;
    provider_account *provider;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_provider(PROVIDER, CONFIG, WRITABLE, &provider));
    REQUIRE(!config->paused, ERR_PAUSED);
    TRY(check_link(&provider->vault, VAULT));
    TRY(check_token_account(SOURCE, &config->usdc_mint, 0));
    TRY(check_program(TOKEN, &TOKEN_PROGRAM));
    u64 amount = arg_u64(0);
    REQUIRE(amount > 0, ERR_WRONG_AMOUNT);

    TRY(add_to(&provider->staked, amount));
    return transfer_tokens(SOURCE, VAULT, FUNDER, amount, 0);
}

/*
 * request_unstake: start taking stake out.
 *
 * Accounts
 *   0 owner      signer
 *   1 config
 *   2 provider   writable
 * Arguments: amount u64
 * Before: 0 < amount <= staked.
 * After: the amount no longer counts as stake for new escrows, stays slashable, and may leave after
 *   the unbonding window. A later request restarts the clock for all of it: one date, no queue.
 */
static u64 request_unstake(void) {
    enum { OWNER, CONFIG, PROVIDER, ACCOUNTS };
    TRY(expect(ACCOUNTS, 8));
    config_account *config;
    provider_account *provider;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_provider(PROVIDER, CONFIG, WRITABLE, &provider));
    TRY(check_authority(OWNER, &provider->owner));
    u64 amount = arg_u64(0);
    REQUIRE(amount > 0, ERR_WRONG_AMOUNT);

    TRY(take_from(&provider->staked, amount, ERR_INSUFFICIENT_STAKE));
    TRY(add_to(&provider->unbonding, amount));
    provider->unbonding_until = now() + config->unbonding_window;
    return 0;
}

/*
 * withdraw_stake: take out everything that has unbonded.
 *
 * Accounts
 *   0 owner       signer
 *   1 config
 *   2 provider    writable
 *   3 vault       writable
 *   4 destination writable          token account of anybody's
 *   5 token program
 * Arguments: none
 * Before: unbonding > 0, and its window has passed.
 * After: unbonding is 0, and the destination has it.
 */
static u64 withdraw_stake(void) {
    enum { OWNER, CONFIG, PROVIDER, VAULT, DESTINATION, TOKEN, ACCOUNTS };
    TRY(expect(ACCOUNTS, 0));
    config_account *config;
    provider_account *provider;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_provider(PROVIDER, CONFIG, WRITABLE, &provider));
    TRY(check_authority(OWNER, &provider->owner));
    TRY(check_link(&provider->vault, VAULT));
    TRY(check_token_account(DESTINATION, &config->usdc_mint, 0));
    TRY(check_program(TOKEN, &TOKEN_PROGRAM));
    u64 amount = provider->unbonding;
    REQUIRE(amount > 0, ERR_WRONG_AMOUNT);
    REQUIRE(now() >= provider->unbonding_until, ERR_WRONG_TIME);

    provider->unbonding = 0;
    return transfer_tokens(VAULT, DESTINATION, PROVIDER, amount, provider_seeds(provider));
}

/*
 * slash: compensate the client of a disputed escrow out of the provider's stake.
 *
 * Accounts
 *   0 arbiter        signer
 *   1 config
 *   2 provider       writable
 *   3 provider vault writable
 *   4 escrow         writable
 *   5 client         writable
 *   6 client vault   writable
 *   7 token program
 * Arguments: amount u64
 * Before: the escrow, of this provider and client, is disputed and not yet slashed; the amount is at
 *   most slash_bps of staked and unbonding together.
 * After: unbonding stake went first, then staked; the client's balance grew by it. Once per escrow,
 *   and never to the arbiter or the market.
 */
static u64 slash(void) {
    enum { ARBITER, CONFIG, PROVIDER, PROVIDER_VAULT, ESCROW, CLIENT, CLIENT_VAULT, TOKEN, ACCOUNTS };
    TRY(expect(ACCOUNTS, 8));
    config_account *config;
    provider_account *provider;
    escrow_account *escrow;
    client_account *client;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_provider(PROVIDER, CONFIG, WRITABLE, &provider));
    TRY(load_escrow(ESCROW, CONFIG, &escrow));
    TRY(load_client(CLIENT, CONFIG, WRITABLE, &client));
    TRY(check_authority(ARBITER, &config->arbiter));
    TRY(check_link(&escrow->provider, PROVIDER));
    TRY(check_link(&escrow->client, CLIENT));
    TRY(check_link(&provider->vault, PROVIDER_VAULT));
    TRY(check_link(&client->vault, CLIENT_VAULT));
    TRY(check_program(TOKEN, &TOKEN_PROGRAM));
    REQUIRE(escrow->state == ESCROW_DISPUTED && escrow->slashed == 0, ERR_WRONG_STATE);
    u64 amount = arg_u64(0);
    REQUIRE(amount > 0, ERR_WRONG_AMOUNT);
    u64 whole_stake = provider->staked;
    TRY(add_to(&whole_stake, provider->unbonding));
    REQUIRE(amount <= basis_points(whole_stake, config->slash_bps), ERR_OVER_LIMIT);

    u64 from_unbonding = amount < provider->unbonding ? amount : provider->unbonding;
    provider->unbonding -= from_unbonding;
    TRY(take_from(&provider->staked, amount - from_unbonding, ERR_INSUFFICIENT_STAKE));
    TRY(add_to(&provider->slashed, amount));
    TRY(add_to(&client->balance, amount));
    escrow->slashed = amount;
    return transfer_tokens(PROVIDER_VAULT, CLIENT_VAULT, PROVIDER, amount, provider_seeds(provider));
}
