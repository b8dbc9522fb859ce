/*
 * The program's error codes, as `Custom(code)` of a failed transaction.
 *
 * They are part of the interface: neurogrid_contracts/errors.py and idl.json repeat the numbers,
 * and tests/contracts/test_program_build.py compares all three. Append; never renumber.
 */
#pragma once

enum {
    ERR_INSTRUCTION_DATA = 100, /* unknown tag, wrong length, or an argument out of its range */
    ERR_ACCOUNT_COUNT,          /* too few or too many accounts, or a needed one is not listed */
    ERR_MISSING_SIGNER,         /* the account that must sign did not */
    ERR_NOT_WRITABLE,           /* an account that changes was passed read-only */
    ERR_WRONG_OWNER,            /* a state account does not belong to this program */
    ERR_WRONG_ACCOUNT_TYPE,     /* a state account of another type, size or version */
    ERR_WRONG_LINK,             /* two accounts that do not belong together */
    ERR_WRONG_ADDRESS,          /* not the canonical program-derived address */
    ERR_ALREADY_EXISTS,         /* the account to create exists */
    ERR_OVERFLOW,               /* an amount does not fit, or the books would go negative */
    ERR_WRONG_AMOUNT,           /* zero, or more than the escrow or the unbonding stake holds */
    ERR_WRONG_STATE,            /* the escrow, or what was proposed, is not as this instruction needs */
    ERR_WRONG_TIME,             /* too early, too late, or a deadline out of its range */
    ERR_NOT_AUTHORIZED,         /* the signer may not do this */
    ERR_BAD_TOKEN_ACCOUNT,      /* not a usable token account of the required owner */
    ERR_WRONG_MINT,             /* a token account or mint of another currency */
    ERR_WRONG_PROGRAM,          /* not the System or SPL Token program */
    ERR_WRONG_SYSVAR,           /* not the instructions sysvar */
    ERR_BAD_VOUCHER,            /* the Ed25519 instruction does not prove this voucher */
    ERR_INSUFFICIENT_STAKE,     /* the provider has too little stake */
    ERR_DUPLICATE_ACCOUNT,      /* one account was passed twice */
    ERR_PAUSED,                 /* the administrator paused new commitments */
    ERR_OVER_LIMIT,             /* above the operator's limit or the slashing cap */
    ERR_STALE_RELEASE,          /* the escrow has released another total than was expected */
    ERR_INSUFFICIENT_BALANCE,   /* the client's unlocked balance does not cover it */
    ERR_FAULT_NOT_PROVEN,       /* what looks like bad luck, or has no evidence, slashes nobody */
    ERR_NOT_EMPTY,              /* money, stake or open escrows are left in the account to close */
};
