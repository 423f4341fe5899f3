"""Which kind of tax id a country's are to Stripe, which takes none without its kind. Plain Python."""

from __future__ import annotations

from typing import Final

# https://docs.stripe.com/billing/customer/tax-ids
_EU: Final = (
    *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU"),
    *("LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"),
)
_KINDS: Final[dict[str, str]] = {
    **dict.fromkeys(_EU, "eu_vat"),
    "AD": "ad_nrt", "AE": "ae_trn", "AL": "al_tin", "AM": "am_tin", "AO": "ao_tin", "AR": "ar_cuit", "AU": "au_abn",
    "AW": "aw_tin", "AZ": "az_tin", "BA": "ba_tin", "BB": "bb_tin", "BD": "bd_bin", "BF": "bf_ifu", "BH": "bh_vat",
    "BJ": "bj_ifu", "BO": "bo_tin", "BR": "br_cnpj", "BS": "bs_tin", "BY": "by_tin", "CA": "ca_bn", "CD": "cd_nif",
    "CH": "ch_vat", "CL": "cl_tin", "CM": "cm_niu", "CN": "cn_tin", "CO": "co_nit", "CR": "cr_tin", "CV": "cv_nif",
    "DO": "do_rcn", "EC": "ec_ruc", "EG": "eg_tin", "ET": "et_tin", "GB": "gb_vat", "GE": "ge_vat", "GN": "gn_nif",
    "HK": "hk_br", "ID": "id_npwp", "IL": "il_vat", "IN": "in_gst", "IS": "is_vat", "JP": "jp_trn", "KE": "ke_pin",
    "KG": "kg_tin", "KH": "kh_tin", "KR": "kr_brn", "KZ": "kz_bin", "LA": "la_tin", "LI": "li_vat", "MA": "ma_vat",
    "MD": "md_vat", "ME": "me_pib", "MK": "mk_vat", "MR": "mr_nif", "MX": "mx_rfc", "MY": "my_sst", "NG": "ng_tin",
    "NO": "no_vat", "NP": "np_pan", "NZ": "nz_gst", "OM": "om_vat", "PE": "pe_ruc", "PH": "ph_tin", "RS": "rs_pib",
    "RU": "ru_inn", "SA": "sa_vat", "SG": "sg_gst", "SN": "sn_ninea", "SR": "sr_fin", "SV": "sv_nit", "TH": "th_vat",
    "TJ": "tj_tin", "TR": "tr_tin", "TW": "tw_vat", "TZ": "tz_vat", "UA": "ua_vat", "UG": "ug_tin", "US": "us_ein",
    "UY": "uy_ruc", "UZ": "uz_vat", "VE": "ve_rif", "VN": "vn_tin", "ZA": "za_vat", "ZM": "zm_tin", "ZW": "zw_tin",
}  # fmt: skip


def kind_of(country: str) -> str | None:
    """Stripe's word for the tax ids of `country` (two capital letters); None where it knows none."""
    return _KINDS.get(country)
