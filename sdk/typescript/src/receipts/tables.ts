// Written by scripts/protocol.mjs from docs/protocol.md: change it there.

/** A field's name, its type in the page's words, its default where it has one, and whether it is left out with it. */
export type Field = readonly [name: string, type: string, fallback?: unknown, omitted?: true];

export const TYPES: Readonly<Record<string, string>> = {
 "Address": "str, `[1-9A-HJ-NP-Za-km-z]{32,44}`",
 "AskedHost": "str, `[!-~]{0,255}`",
 "AttributeName": "str, `[a-z][a-z0-9_]{0,31}(\\.[a-z][a-z0-9_]{0,31}){0,3}`",
 "Bytes": "int, 0 to 2^53 - 1",
 "ComparatorArgument": "str, at most 512 characters",
 "ComputeCapability": "str, `[0-9]{1,2}\\.[0-9]`",
 "Count": "int, 0 to 1000000000",
 "CpuMillis": "int, 0 to 10000000",
 "ExitCode": "int, -1 to 4294967295",
 "FileCount": "int, 0 to 256",
 "FilePath": "str, `(?!\\.{1,2}(/\\|\\Z))[^/\\x00-\\x1f\\\\]{1,128}(/(?!\\.{1,2}(/\\|\\Z))[^/\\x00-\\x1f\\\\]{1,128}){0,15}`, at most 512 characters",
 "FilePattern": "str, `[A-Za-z0-9._/*?+-]{1,128}`",
 "GangSize": "int, 2 to 32",
 "GpuModel": "str, at most 128 characters",
 "Id": "str, `[a-z]{1,12}_[0-9a-f]{32}`",
 "ImageRef": "str, `[a-z0-9][A-Za-z0-9._:/@-]{0,511}`",
 "MaybeSha256": "str, `([0-9a-f]{64})?`",
 "MicroUsdc": "int, 0 to 2^53 - 1",
 "Millis": "int, 0 to 2^53 - 1",
 "NetworkRule": "str, `[a-z0-9*._:-]{1,262}`",
 "Number": "int, 0 to 2^53 - 1",
 "Outputs": "list of `OutputFile`, at most 1000",
 "PeerId": "str, `[1-9A-HJ-NP-Za-km-z]{46,59}`",
 "Phrase": "str, at most 512 characters",
 "Port": "int, 0 to 65535",
 "ReclaimWindowS": "int, 0 to 600",
 "SealingKey": "str, `([0-9a-f]{64})?`",
 "Sequence": "int, 1 to 1000000000",
 "Sha256": "str, `[0-9a-f]{64}`",
 "SignatureHex": "str, `[0-9a-f]{128}`",
 "StartFactor": "int, 1000 to 2000000000",
 "Text": "str, at most 1024 characters",
 "TimeoutS": "int, 1 to 2592000",
 "Tolerance": "str, `[0-9]{1,9}[.]?[0-9]{0,9}(e-?[0-9]{1,3})?`",
 "TransactionSignature": "str, `[1-9A-HJ-NP-Za-km-z]{64,88}`",
 "U64": "int, at least 0",
 "UnitCount": "int, 0 to 100000000000",
 "UnitPrice": "int, 0 to 10000000000000",
 "UseIdleS": "int, 1 to 86400",
 "Where": "list of `Clause`, at most 32",
 "Word": "str, `[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}`"
};

export const WORDS: Readonly<Record<string, readonly string[]>> = {
 "Apart": ["node", "wallet"],
 "ComparatorKind": ["exact", "numeric", "image"],
 "EventKind": ["preparing", "started", "reclaimed", "finished"],
 "FileFormat": ["text", "json", "npy", "npz", "f32", "f64"],
 "Operator": ["=", "!=", ">=", "<=", ">", "<", "~", "!~", "in", "not in", "has", "lacks"],
 "Outcome": ["completed", "exit_nonzero", "cancelled", "memory_exceeded", "pids_exceeded", "disk_exceeded", "time_exceeded", "job_refused", "image_not_found", "command_not_found", "input_unavailable", "input_unreadable", "output_refused", "start_failed", "pull_stalled", "engine_lost", "node_lost", "escrow_unseen", "result_invalid", "exposure_exhausted", "preempted", "gpu_lost"],
 "Refused": ["bad_request", "address_not_name", "host_not_listed", "name_not_found", "address_not_public", "unreachable", "no_tls", "other_name_in_tls", "volume_used_up", "too_slow"],
 "VerifyMode": ["none", "spot_check", "quorum"]
};

export const STRUCTS: Readonly<Record<string, readonly Field[]>> = {
 "Checkpoint": [
  ["sequence", "`Sequence`"],
  ["manifest_sha256", "`Sha256`"],
  ["files", "`FileCount`"],
  ["size_bytes", "`Bytes`"]
 ],
 "Clause": [
  ["alternatives", "list of `Condition`, 1 to 16"]
 ],
 "Comparator": [
  ["kind", "`ComparatorKind`", "exact"],
  ["relative", "`Tolerance`", "0"],
  ["absolute", "`Tolerance`", "0"],
  [
   "files",
   "list of `FileRule`, at most 16",
   []
  ],
  ["image", "`ImageRef` or null", null],
  [
   "command",
   "list of `ComparatorArgument`, at most 16",
   []
  ],
  ["timeout_s", "int, 0 to 3600", 0]
 ],
 "Condition": [
  ["attribute", "`AttributeName`"],
  ["operator", "`Operator`"],
  ["values", "list of `Number` or `Phrase`, 1 to 16"]
 ],
 "FileRule": [
  ["pattern", "`FilePattern`"],
  ["format", "`FileFormat` or null", null]
 ],
 "Gang": [
  ["size", "`GangSize`"],
  ["apart", "`Apart`", "node"]
 ],
 "HostUse": [
  ["host", "`AskedHost`"],
  ["port", "`Port`"],
  ["connections", "`Count`"],
  ["sent_bytes", "`Bytes`"],
  ["received_bytes", "`Bytes`"]
 ],
 "Network": [
  ["allow", "list of `NetworkRule`, 1 to 32"]
 ],
 "NetworkUse": [
  ["connections", "`Count`", 0],
  ["sent_bytes", "`Bytes`", 0],
  ["received_bytes", "`Bytes`", 0],
  ["refused", "`Count`", 0],
  [
   "hosts",
   "list of `HostUse`, at most 32",
   []
  ],
  [
   "refusals",
   "list of `Refusal`, at most 32",
   []
  ]
 ],
 "OutputFile": [
  ["path", "`FilePath`"],
  ["sha256", "`Sha256`"],
  ["size_bytes", "`Bytes`"]
 ],
 "Refusal": [
  ["host", "`AskedHost`"],
  ["port", "`Port`"],
  ["reason", "`Refused`"],
  ["count", "`Count`"]
 ],
 "Requirements": [
  ["cpu_millis", "`CpuMillis`", 1000],
  ["memory_bytes", "`Bytes`", 536870912],
  ["disk_bytes", "`Bytes`", 1073741824],
  ["gpu_count", "int, 0 to 64", 0],
  ["gpu_memory_bytes", "`Bytes`", 0],
  ["gpu_model", "`GpuModel`", ""],
  ["compute_capability", "`ComputeCapability`", "0.0"],
  [
   "regions",
   "list of `Word`, at most 32",
   []
  ]
 ],
 "Result": [
  ["outcome", "`Outcome`"],
  ["exit_code", "`ExitCode`"],
  ["message", "`Text`"],
  ["metered_ms", "`Millis`"],
  [
   "outputs",
   "`Outputs`",
   []
  ],
  ["logs_sha256", "`Sha256`", "0000000000000000000000000000000000000000000000000000000000000000"],
  ["logs_bytes", "`Bytes`", 0],
  ["memory_peak_bytes", "`Bytes`", 0],
  ["profile_hash", "`Sha256`", "0000000000000000000000000000000000000000000000000000000000000000"],
  ["voucher_hash", "`Sha256`", "0000000000000000000000000000000000000000000000000000000000000000"],
  ["resumed", "`Checkpoint` or null", null],
  ["checkpoint", "`Checkpoint` or null", null],
  ["network", "`NetworkUse` or null", null],
  ["served", "`Units` or null", null, true]
 ],
 "Serves": [
  ["model", "`Word`"],
  ["max_prices", "`UnitPrices`"],
  [
   "weights",
   "list of `WeightsFile`, at most 256",
   [],
   true
  ]
 ],
 "SettlementStatement": [
  ["program_id", "`Address`"],
  ["domain", "`U64`"],
  ["client", "`Address`"],
  ["client_account", "`Address`"],
  ["escrow", "`Address`"],
  ["escrow_bump", "int, 0 to 255"],
  ["escrow_sequence", "`U64`"],
  ["voucher_signer", "`Address`"],
  ["transaction", "`TransactionSignature`"],
  ["paid_micro_usdc", "`MicroUsdc`"],
  ["closed_at_ms", "`Millis`"],
  ["billed", "`Units` or null", null, true]
 ],
 "UnitPrices": [
  ["input_tokens", "`UnitPrice`", 0],
  ["cached_input_tokens", "`UnitPrice`", 0],
  ["output_tokens", "`UnitPrice`", 0],
  ["images", "`UnitPrice`", 0],
  ["audio_ms", "`UnitPrice`", 0],
  ["requests", "`UnitPrice`", 0]
 ],
 "Units": [
  ["input_tokens", "`UnitCount`", 0],
  ["cached_input_tokens", "`UnitCount`", 0],
  ["output_tokens", "`UnitCount`", 0],
  ["images", "`UnitCount`", 0],
  ["audio_ms", "`UnitCount`", 0],
  ["requests", "`UnitCount`", 0]
 ],
 "Use": [
  ["replica", "`Id`"],
  ["model", "`Word`"],
  ["prices", "`UnitPrices`"],
  ["max_cost_micro_usdc", "`MicroUsdc`"],
  ["idle_s", "`UseIdleS`", 300]
 ],
 "VoucherLink": [
  ["number", "`Count`"],
  ["previous_hash", "`Sha256`"],
  ["answers_hash", "`Sha256`"]
 ],
 "WeightsFile": [
  ["sha256", "`Sha256`"],
  ["size_bytes", "`Bytes`"]
 ],
 "accept": [
  ["lease_id", "`Id`"],
  ["award_hash", "`Sha256`"],
  ["sealing_key", "`SealingKey`", ""]
 ],
 "award": [
  ["lease_id", "`Id`"],
  ["demand_id", "`Id`"],
  ["demand_hash", "`Sha256`"],
  ["bid_hash", "`Sha256`"],
  ["other_bid_hashes", "list of `Sha256`, at most 64"],
  ["price_micro_usdc_per_hour", "`MicroUsdc`"],
  ["max_cost_micro_usdc", "`MicroUsdc`"],
  ["timeout_s", "`TimeoutS`"],
  ["voucher_interval_s", "int, 1 to 3600"],
  ["job_hash", "`Sha256`"],
  [
   "start_factors_permille",
   "map of `Sha256` to `StartFactor`, at most 64",
   {}
  ],
  ["reveal_hash", "`MaybeSha256`", ""],
  ["unit_prices", "`UnitPrices` or null", null, true]
 ],
 "bid": [
  ["demand_id", "`Id`"],
  ["demand_hash", "`Sha256`"],
  ["price_micro_usdc_per_hour", "`MicroUsdc`"],
  ["start_ms", "`Millis`"],
  ["valid_until_ms", "`Millis`"],
  ["wallet", "`Address`"],
  ["start_p95_ms", "`Millis`", 0],
  ["cached_bytes", "`Bytes`", 0],
  ["nonce", "`MaybeSha256`", ""],
  ["reclaim_window_s", "`ReclaimWindowS`", 0],
  ["unit_prices", "`UnitPrices` or null", null, true]
 ],
 "claimed": [
  ["lease_id", "`Id`"],
  ["transaction", "`TransactionSignature`"]
 ],
 "commit": [
  ["demand_id", "`Id`"],
  ["demand_hash", "`Sha256`"],
  ["commitment", "`Sha256`"]
 ],
 "demand": [
  ["demand_id", "`Id`"],
  ["job_hash", "`Sha256`"],
  ["requirements", "`Requirements`"],
  ["image", "`ImageRef`"],
  ["input_bytes", "`Bytes`"],
  ["max_price_micro_usdc_per_hour", "`MicroUsdc`"],
  ["timeout_s", "`TimeoutS`"],
  ["bid_window_ms", "`Millis`"],
  ["voucher_interval_s", "int, 1 to 3600"],
  ["dead_after_s", "int, 1 to 86400"],
  ["verify", "`VerifyMode`", "none"],
  [
   "where",
   "`Where`",
   []
  ],
  ["client", "`Address` or null", null],
  ["finish_by_ms", "`Millis`", 0],
  ["sealed_bids", "bool", false],
  ["preemptible", "bool", false],
  ["reclaim_window_s", "`ReclaimWindowS`", 0],
  ["gang", "`Gang` or null", null],
  ["comparator", "`Comparator` or null", null],
  ["network", "`Network` or null", null],
  ["serves", "`Serves` or null", null, true],
  ["use", "`Use` or null", null, true]
 ],
 "event": [
  ["lease_id", "`Id`"],
  ["number", "`Count`"],
  ["kind", "`EventKind`"],
  ["at_ms", "`Millis`"],
  ["previous_hash", "`Sha256`"],
  ["result", "`Result` or null", null]
 ],
 "meter": [
  ["lease_id", "`Id`"],
  ["metered_ms", "`Millis`"],
  ["cumulative_micro_usdc", "`MicroUsdc`"],
  ["voucher_hash", "`Sha256`", "0000000000000000000000000000000000000000000000000000000000000000"],
  ["served", "`Units` or null", null, true]
 ],
 "reveal": [
  ["demand_id", "`Id`"],
  ["commitments", "map of `PeerId` to `Sha256`, at most 64"]
 ],
 "voucher": [
  ["lease_id", "`Id`"],
  ["cumulative_micro_usdc", "`MicroUsdc`"],
  ["signature", "`SignatureHex`"],
  ["final", "bool"],
  ["link", "`VoucherLink` or null", null]
 ]
};

export const LINK_KINDS: readonly { kind: string; least: number; most: number; signer: string }[] = [
 {
  "kind": "demand",
  "least": 1,
  "most": 1,
  "signer": "coordinator"
 },
 {
  "kind": "commit",
  "least": 0,
  "most": 65,
  "signer": "any node"
 },
 {
  "kind": "reveal",
  "least": 0,
  "most": 1,
  "signer": "coordinator"
 },
 {
  "kind": "bid",
  "least": 1,
  "most": 65,
  "signer": "any node"
 },
 {
  "kind": "award",
  "least": 1,
  "most": 1,
  "signer": "coordinator"
 },
 {
  "kind": "accept",
  "least": 1,
  "most": 1,
  "signer": "node"
 },
 {
  "kind": "event",
  "least": 1,
  "most": 4,
  "signer": "node"
 },
 {
  "kind": "meter",
  "least": 0,
  "most": 513,
  "signer": "node"
 },
 {
  "kind": "voucher",
  "least": 1,
  "most": 513,
  "signer": "receipt"
 },
 {
  "kind": "claimed",
  "least": 0,
  "most": 1,
  "signer": "node"
 },
 {
  "kind": "settlement",
  "least": 1,
  "most": 1,
  "signer": "receipt"
 }
];
