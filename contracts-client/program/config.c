/* The market's terms: init_config and set_paused. */
#include "tokens.h"

/*
 * init_config: create a market.
 *
 * Accounts
 *   0 admin      signer, writable   pays the rent; part of the address
 *   1 config     writable           created
 *   2 mint                          USDC
 *   3 treasury                      token account that receives fees
 *   4 system program
 * Arguments: fee_bps u16, slash_bps u16, min_stake u64, unbonding_window i64, grace_window i64,
 *   arbitration_window i64, domain u64, arbiter pubkey
 * Before: no config of this admin and mint. Fee at most 20 %, slash at most 100 %; every window at
 *   least one second and at most a year; unbonding longer than grace and arbitration together, or
 *   a provider could leave before a dispute about its work is decided.
 * After: the terms are fixed for ever.
 */
static u64 init_config(void) {
    enum { ADMIN, CONFIG, MINT, TREASURY, SYSTEM, ACCOUNTS };
    enum {
        FEE_BPS = 0,
        SLASH_BPS = 2,
        MIN_STAKE = 4,
        UNBONDING_WINDOW = 12,
        GRACE_WINDOW = 20,
        ARBITRATION_WINDOW = 28,
        DOMAIN = 36,
        ARBITER = 44,
        ARGS_LEN = 76
    };
    TRY(expect(ACCOUNTS, ARGS_LEN));
    TRY(check_signer(ADMIN));
    /* A token account of this mint exists, so the token program has checked the mint itself. */
    TRY(check_token_account(TREASURY, ACCOUNT(MINT)->key, 0));
    TRY(check_program(SYSTEM, &SYSTEM_PROGRAM));

    u16 fee_bps = load_u16(SCRATCH->args + FEE_BPS);
    u16 slash_bps = load_u16(SCRATCH->args + SLASH_BPS);
    i64 unbonding = arg_i64(UNBONDING_WINDOW);
    i64 grace = arg_i64(GRACE_WINDOW);
    i64 arbitration = arg_i64(ARBITRATION_WINDOW);
    pubkey arbiter = arg_key(ARBITER);
    REQUIRE(fee_bps <= FEE_BPS_MAX && slash_bps <= BPS_ONE, ERR_WRONG_AMOUNT);
    REQUIRE(grace >= 1 && grace <= WINDOW_MAX, ERR_WRONG_TIME);
    REQUIRE(arbitration >= 1 && arbitration <= WINDOW_MAX, ERR_WRONG_TIME);
    REQUIRE(unbonding > grace + arbitration && unbonding <= WINDOW_MAX, ERR_WRONG_TIME);
    REQUIRE(!is_zero_key(&arbiter), ERR_INSTRUCTION_DATA);

    set_seed(0, "config", 6);
    set_seed(1, ACCOUNT(ADMIN)->key, 32);
    set_seed(2, ACCOUNT(MINT)->key, 32);
    TRY(create_account(ADMIN, CONFIG, 3, sizeof(config_account), SCRATCH->program_id));
    config_account *config = (config_account *)ACCOUNT(CONFIG)->data;
    config->tag = TAG_CONFIG;
    config->version = ACCOUNT_VERSION;
    config->bump = SCRATCH->derived_bump;
    config->fee_bps = fee_bps;
    config->slash_bps = slash_bps;
    config->admin = *ACCOUNT(ADMIN)->key;
    config->arbiter = arbiter;
    config->usdc_mint = *ACCOUNT(MINT)->key;
    config->treasury = *ACCOUNT(TREASURY)->key;
    config->min_stake = arg_u64(MIN_STAKE);
    config->unbonding_window = unbonding;
    config->grace_window = grace;
    config->arbitration_window = arbitration;
    config->domain = arg_u64(DOMAIN);
    return 0;
}

/*
 * set_paused: stop or resume new commitments (stake, deposit, open_escrow).
 *
 * Accounts
 *   0 admin      signer
 *   1 config     writable
 * Arguments: paused u8 (0 or 1)
 * Before: the signer is the config's admin.
 * After: only `paused` differs. No way out of the program looks at it, so pausing locks nobody in.
 */
static u64 set_paused(void) {
    enum { ADMIN, CONFIG, ACCOUNTS };
    TRY(expect(ACCOUNTS, 1));
    config_account *config;
    TRY(load_config(CONFIG, WRITABLE, &config));
    TRY(check_authority(ADMIN, &config->admin));
    REQUIRE(SCRATCH->args[0] <= 1, ERR_INSTRUCTION_DATA);
    config->paused = SCRATCH->args[0];
    return 0;
}
