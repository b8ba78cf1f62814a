"""Trino's functions: those that mean the same in DuckDB, and those that are refused."""

from __future__ import annotations

import re

from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError
from sqlglot.tokens import Token, TokenType

from standin.trino.language import Malformed, QueryFailed, Unsupported


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTIONS = _words(
    """
    abs approx_distinct approx_percentile arbitrary any_value array_agg array_join at_timezone avg bool_and
    bool_or cardinality ceil ceiling chr coalesce concat contains corr count count_if cume_dist current_date
    current_timestamp date date_add date_diff date_format date_parse date_trunc day day_of_month day_of_week
    dense_rank dow element_at every exp first_value floor from_iso8601_date from_iso8601_timestamp from_unixtime
    greatest grouping hour if json_extract_scalar lag last_day_of_month last_value lead least length listagg ln
    lower lpad ltrim map map_keys map_values max max_by min min_by minute mod month now nth_value ntile nullif
    percent_rank position pow power quarter rank regexp_extract regexp_like regexp_replace replace reverse round
    row_number rpad rtrim second sha256 sign split split_part sqrt starts_with stddev strpos substr substring sum
    to_hex to_unixtime to_utf8 transform trim try try_cast unnest upper variance week year cast extract exists array
    """
)
"""What is known to mean the same here as there; everything else is refused or not registered."""


ELSEWHERE = _words(
    """
    acos all_match any_match approx_most_frequent approx_set array_distinct array_except array_intersect
    array_max array_min array_position array_remove array_sort array_sum array_union arrays_overlap asin atan
    atan2 bar bitwise_and bitwise_or bitwise_xor cbrt char2hexint checksum codepoint combinations concat_ws
    convert cos cosh covar_pop covar_samp crc32 current_time current_timezone day_of_year degrees doy e entropy
    filter flatten format format_datetime format_number from_base from_base64 from_hex geometric_mean
    hamming_distance histogram human_readable_seconds infinity is_finite is_infinite is_json_scalar is_nan
    json_array json_array_contains json_array_get json_array_length json_exists json_extract json_format
    json_object json_parse json_query json_size json_value kurtosis levenshtein_distance localtime
    localtimestamp log log10 log2 luhn_check map_agg map_concat map_entries map_filter map_from_entries
    map_union map_zip_with md5 merge millisecond multimap_agg nan ngrams none_match normalize numeric_histogram
    parse_datetime parse_duration pi qdigest_agg radians rand random reduce reduce_agg regexp_count
    regexp_extract_all regexp_position regexp_split regr_intercept regr_slope repeat row sequence sha1
    sha512 shuffle sin skewness slice soundex split_to_map stddev_pop stddev_samp tan tanh tdigest_agg
    timezone_hour timezone_minute to_base64 to_iso8601 to_milliseconds transform_keys transform_values
    translate trim_array truncate typeof url_decode url_encode url_extract_host
    url_extract_path uuid value_at_quantile var_pop var_samp week_of_year width_bucket with_timezone word_stem
    xxhash64 year_of_week yow zip zip_with
    """
)
"""Functions of Trino that are not done here: a query that calls one is refused, loudly."""


NO_CALLS = _words(
    """
    all and any as between bigint by case char cube decimal distinct double else end except filter following
    from group having in int integer intersect interval is join lateral like limit not null on or order over
    partition rollup row rows select sets smallint table then time timestamp tinyint union using values varchar
    when where with within real date
    """
)
"""Words that may stand before a parenthesis without being called."""


def check_functions(sql: str) -> None:
    try:
        tokens = Dialect.get_or_raise("athena").tokenize(sql)
    except TokenError as error:
        raise Malformed(str(error)) from None
    for before, token, after in zip([None, *tokens], tokens, tokens[1:], strict=False):
        name = token.text.lower()
        if after.token_type != TokenType.L_PAREN or not re.fullmatch(r"[a-z_][a-z_0-9]*", name):
            continue
        if token.token_type == TokenType.IDENTIFIER or name in FUNCTIONS or name in NO_CALLS or _is_name(before):
            continue
        if name in ELSEWHERE:
            raise Unsupported(f"function {name}")
        if _opens_with(tokens, token):
            continue
        raise QueryFailed(
            "FUNCTION_NOT_REGISTERED",
            f"line {token.line}:{token.col - len(token.text) + 1}: Function {name} not registered",
        )


def _is_name(before: Token | None) -> bool:
    """After AS, a name with a list of columns; after a closing parenthesis, an alias with one."""
    return before is not None and before.token_type in (TokenType.ALIAS, TokenType.R_PAREN)


def _opens_with(tokens: list[Token], token: Token) -> bool:
    """Whether the name is a common table expression's, with a list of columns: `WITH a (x) AS (`."""
    at = next(i for i, each in enumerate(tokens) if each is token)
    before = tokens[at - 1].token_type if at else None
    if before not in (TokenType.WITH, TokenType.COMMA):
        return False
    close = next((i for i in range(at, len(tokens)) if tokens[i].token_type == TokenType.R_PAREN), at)
    return [each.token_type for each in tokens[close + 1 : close + 3]] == [TokenType.ALIAS, TokenType.L_PAREN]
