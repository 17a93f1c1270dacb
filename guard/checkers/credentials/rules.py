"""The forms of some eighty kinds of secrets, written from what their vendors say about them.

RE2 syntax over ASCII. A group, where there is one, is the secret; else all of the match is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from guard.checkers.credentials.randomness import (
    access_key,
    crc32_base62,
    is_password,
    is_placeholder,
    json_web_token,
    looks_random,
)


def _real(text: str) -> bool:
    return not is_placeholder(text)


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of secret. `sign` is an expression that is there whenever the form is, and cheap to look for.

    `entropy` is the least that the secret must have, in bits a character; `valid` has the last word. `unless` is an expression
    (in the syntax of `re`) for the end of what the form has ahead of the secret: where it is there, this is none.
    """

    category: str
    title: str
    sign: str
    form: str
    entropy: float = 3.0
    valid: Callable[[str], bool] = _real
    score: float = 0.95
    unless: str = ""


_W = "[0-9A-Za-z_-]"
_A = "[0-9A-Za-z]"
_H = "[0-9a-f]"
# What is called so says where a secret lies, or what about it: credentialsId, secret_name, PASSWORD_FILE, tokenizer.
_ABOUT = r"(?:(?i:[_.-](?:id|name|file|path|ur[il]|ref|arn|type))|Id|Name|File|Path|Ur[il]|Ref|Arn|Type|(?i:i[sz](?:er|ation)\w*))\W*\Z"

RULES = (
    # --- clouds ---
    Rule("AWS_ACCESS_KEY", "an AWS access key", "A(?:KIA|SIA|BIA|CCA)[A-Z2-7]", r"\bA(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}\b", 2.5,
         access_key),
    Rule("AWS_SECRET_KEY", "an AWS secret key", "(?i)aws|secret_?access_?key",
         r"(?i:aws|secret_?access_?key)(?s:.){0,40}?[\"'=: ]([0-9A-Za-z/+]{40})(?:[^0-9A-Za-z/+=]|\z)", 4.2, looks_random),
    Rule("AWS_BEDROCK_KEY", "an AWS Bedrock key", "ABSKQmVk", r"\bABSKQmVk[0-9A-Za-z+/]{100,160}={0,2}"),
    Rule("GOOGLE_API_KEY", "a Google API key", "AIza", rf"\bAIza{_W}{{35}}"),
    Rule("GOOGLE_CLIENT_SECRET", "a Google OAuth client secret", "GOCSPX-", rf"\bGOCSPX-{_W}{{28}}"),
    Rule("GOOGLE_ACCESS_TOKEN", "a Google OAuth token", r"ya29\.", rf"\bya29\.{_W}{{30,300}}"),
    Rule("AZURE_STORAGE_KEY", "an Azure storage key", "AccountKey=", r"AccountKey=([0-9A-Za-z+/]{86}==)", 4.0),
    Rule("AZURE_CLIENT_SECRET", "an Azure client secret", "[78]Q~", r"\b[0-9A-Za-z_~.]{3}[78]Q~[0-9A-Za-z_~.-]{31,34}"),
    Rule("AZURE_SHARED_SIGNATURE", "an Azure shared access signature", "[?&]sig=", r"[?&]sig=([0-9A-Za-z%+/]{40,64}(?:%3D|=))"),
    Rule("DIGITALOCEAN_TOKEN", "a DigitalOcean token", "do[opr]_v1_", rf"\bdo[opr]_v1_{_H}{{64}}\b"),
    Rule("CLOUDFLARE_KEY", "a Cloudflare origin key", r"v1\.0-", rf"\bv1\.0-{_H}{{24}}-{_H}{{146}}\b"),
    Rule("HEROKU_KEY", "a Heroku key", "HRKU-", rf"\bHRKU-{_W}{{36,60}}"),
    Rule("ALIBABA_ACCESS_KEY", "an Alibaba Cloud access key", "LTAI", rf"\bLTAI{_A}{{17,21}}\b"),
    Rule("FLY_TOKEN", "a Fly.io token", "fo1_|fm[12][ar]?_", rf"\b(?:fo1_{_W}{{43}}|fm[12][ar]?_[0-9A-Za-z+/]{{100,300}}={{0,3}})"),
    Rule("SUPABASE_KEY", "a Supabase key", "sbp_|sb_secret_", rf"\b(?:sbp_{_H}{{40}}|sb_secret_{_W}{{31,40}})"),
    Rule("PLANETSCALE_TOKEN", "a PlanetScale token", "pscale_", r"\bpscale_(?:tkn|pw|oauth)_[0-9A-Za-z_.=-]{32,64}"),
    Rule("NETLIFY_TOKEN", "a Netlify token", "nfp_", rf"\bnfp_{_A}{{36,40}}"),
    Rule("TAILSCALE_KEY", "a Tailscale key", "tskey-", rf"\btskey-[a-z]{{2,10}}-{_A}{{8,24}}-{_A}{{16,40}}"),
    Rule("PULUMI_TOKEN", "a Pulumi token", "pul-", rf"\bpul-{_H}{{40}}\b"),
    Rule("TERRAFORM_TOKEN", "a Terraform Cloud token", r"\.atlasv1\.", rf"\b{_A}{{14}}\.atlasv1\.{_W}{{60,70}}"),
    Rule("VAULT_TOKEN", "a HashiCorp Vault token", r"hv[sbr]\.", rf"\bhv[sbr]\.{_W}{{24,300}}"),
    Rule("DOPPLER_TOKEN", "a Doppler token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.", rf"\bdp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{{2,35}}\.)?{_A}{{40,44}}\b"),
    Rule("ONEPASSWORD_TOKEN", "a 1Password service token", "ops_eyJ", rf"\bops_eyJ{_W}{{200,900}}"),
    Rule("AGE_SECRET_KEY", "an age secret key", "AGE-SECRET-KEY-1", r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b"),
    # --- code and packages ---
    Rule("GITHUB_TOKEN", "a GitHub token", "gh[pousr]_", rf"\bgh[pousr]_{_A}{{36}}\b", 3.0, crc32_base62, 1.0),
    Rule("GITHUB_FINE_TOKEN", "a GitHub fine-grained token", "github_pat_", rf"\bgithub_pat_{_A}{{22}}_{_A}{{59}}\b"),
    Rule("GITLAB_TOKEN", "a GitLab token", "gl(?:pat|dt|rt|ptt|cbt|soat|ffct|imt|oas|agent)-",
         rf"\bgl(?:pat|dt|rt|ptt|cbt|soat|ffct|imt|oas|agent)-{_W}{{20,64}}(?:\.[0-9a-z]{{2}}\.[0-9a-z]{{7,9}})?"),
    Rule("BITBUCKET_TOKEN", "a Bitbucket or Atlassian token", "ATBB|ATATT3|ATCTT3", rf"\b(?:ATBB{_A}{{28,36}}|AT[AC]TT3[0-9A-Za-z_=-]{{120,250}})"),
    Rule("NPM_TOKEN", "an npm token", "npm_", rf"\bnpm_{_A}{{36}}\b"),
    Rule("PYPI_TOKEN", "a PyPI token", "pypi-AgE", rf"\bpypi-AgE{_W}{{60,250}}"),
    Rule("RUBYGEMS_KEY", "a RubyGems key", "rubygems_", rf"\brubygems_{_H}{{48}}\b"),
    Rule("CRATES_TOKEN", "a crates.io token", "cio", rf"\bcio{_A}{{32}}\b", 4.0, looks_random),
    Rule("DOCKER_TOKEN", "a Docker Hub token", "dckr_", rf"\bdckr_(?:pat|oat)_{_W}{{27,36}}"),
    Rule("NUGET_KEY", "a NuGet key", "oy2", r"\boy2[0-9a-z]{43}\b"),
    Rule("POSTMAN_KEY", "a Postman key", "PMAK-", rf"\bPMAK-{_H}{{24}}-{_H}{{34}}\b"),
    Rule("SENTRY_TOKEN", "a Sentry token", "sntry[su]_", rf"\b(?:sntrys_eyJ[0-9A-Za-z+/=_]{{100,400}}|sntryu_{_H}{{64}})"),
    Rule("GRAFANA_TOKEN", "a Grafana token", "glsa_|glc_", rf"\b(?:glsa_{_A}{{32}}_{_H}{{8}}|glc_[0-9A-Za-z+/]{{32,400}}={{0,2}})"),
    Rule("NEWRELIC_KEY", "a New Relic key", "NRAK-|NRII-|NRJS-", rf"\bNR(?:AK|II|JS)-{_W}{{19,32}}"),
    Rule("LINEAR_KEY", "a Linear key", "lin_(?:api|oauth)_", rf"\blin_(?:api|oauth)_{_A}{{40,64}}\b"),
    Rule("FIGMA_TOKEN", "a Figma token", "figd_", rf"\bfigd_{_W}{{40,48}}"),
    Rule("NOTION_TOKEN", "a Notion token", "ntn_|secret_", rf"\b(?:ntn_{_A}{{43,48}}|secret_{_A}{{43}})\b"),
    Rule("AIRTABLE_TOKEN", "an Airtable token", "pat", rf"\bpat{_A}{{14}}\.{_H}{{64}}\b"),
    Rule("DATABRICKS_TOKEN", "a Databricks token", "dapi", rf"\bdapi{_H}{{32}}(?:-\d)?\b"),
    Rule("DROPBOX_TOKEN", "a Dropbox token", r"sl\.", rf"\bsl\.(?:u\.)?{_W}{{130,900}}"),
    # --- models ---
    Rule("OPENAI_KEY", "an OpenAI key", "sk-(?:proj|svcacct|admin)-|T3BlbkFJ|sk-[0-9A-Za-z]",
         rf"\bsk-(?:(?:proj|svcacct|admin)-{_W}{{40,200}}|{_A}{{20}}T3BlbkFJ{_A}{{20}}|{_A}{{48}})\b"),
    Rule("ANTHROPIC_KEY", "an Anthropic key", "sk-ant-", rf"\bsk-ant-[a-z]{{3,8}}\d\d-{_W}{{40,120}}"),
    Rule("OPENROUTER_KEY", "an OpenRouter key", "sk-or-", rf"\bsk-or-v\d-{_H}{{64}}\b"),
    Rule("HUGGINGFACE_TOKEN", "a Hugging Face token", "hf_|api_org_", rf"\b(?:hf_{_A}{{34,37}}|api_org_{_A}{{34}})\b", 3.5),
    Rule("GROQ_KEY", "a Groq key", "gsk_", rf"\bgsk_{_A}{{48,56}}\b"),
    Rule("REPLICATE_TOKEN", "a Replicate token", "r8_", rf"\br8_{_A}{{37}}\b"),
    Rule("PERPLEXITY_KEY", "a Perplexity key", "pplx-", rf"\bpplx-{_A}{{48}}\b"),
    Rule("XAI_KEY", "an xAI key", "xai-", rf"\bxai-{_A}{{80}}\b"),
    Rule("LANGSMITH_KEY", "a LangSmith key", "lsv2_", rf"\blsv2_(?:pt|sk)_{_H}{{32}}_{_H}{{10}}\b"),
    Rule("PINECONE_KEY", "a Pinecone key", "pcsk_", rf"\bpcsk_{_A}{{4,8}}_{_A}{{50,70}}\b"),
    # --- money and shops ---
    Rule("STRIPE_KEY", "a Stripe key", "[rs]k_(?:live|test|prod)_", rf"\b[rs]k_(?:live|test|prod)_{_A}{{16,128}}\b"),
    Rule("STRIPE_WEBHOOK_SECRET", "a Stripe webhook secret", "whsec_", r"\bwhsec_[0-9A-Za-z+/=]{32,64}"),
    Rule("SQUARE_TOKEN", "a Square token", "sq0(?:atp|csp|idp)-|EAAA", rf"\b(?:sq0(?:atp|csp)-{_W}{{22,43}}|EAAA{_W}{{60}})", 3.5),
    Rule("BRAINTREE_TOKEN", "a Braintree token", r"access_token\$", rf"access_token\$(?:production|sandbox)\$[0-9a-z]{{16}}\${_H}{{32}}\b"),
    Rule("SHOPIFY_TOKEN", "a Shopify token", "shp(?:at|ca|pa|ss)_", r"\bshp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}\b"),
    # --- messages ---
    Rule("SLACK_TOKEN", "a Slack token", "xox[a-z]-|xapp-", r"\b(?:xox[abeoprs]-(?:\d-)?[0-9A-Za-z-]{20,200}|xapp-\d-[0-9A-Z]{8,16}-\d{8,16}-[0-9a-f]{40,80})"),
    Rule("SLACK_WEBHOOK", "a Slack webhook", r"hooks\.slack\.com", r"hooks\.slack\.com/(?:services|workflows|triggers)/[0-9A-Za-z/]{40,80}"),
    Rule("DISCORD_TOKEN", "a Discord bot token", r"[MNO][0-9A-Za-z_-]{23,27}\.", rf"\b[MNO]{_W}{{23,27}}\.{_W}{{6}}\.{_W}{{27,40}}", 4.0),
    Rule("DISCORD_WEBHOOK", "a Discord webhook", "api/webhooks/", rf"discord(?:app)?\.com/api/webhooks/\d{{17,20}}/{_W}{{60,72}}"),
    Rule("TEAMS_WEBHOOK", "a Teams webhook", r"webhook\.office\.com", rf"webhook\.office\.com/webhookb2/[0-9a-f@-]{{60,80}}/IncomingWebhook/{_H}{{32}}/[0-9a-f-]{{36}}"),
    Rule("TELEGRAM_TOKEN", "a Telegram bot token", ":AA", rf"\b\d{{8,10}}:AA{_W}{{33}}"),
    Rule("TWILIO_KEY", "a Twilio key", "SK[0-9a-f]{4}", rf"\bSK{_H}{{32}}\b"),
    Rule("SENDGRID_KEY", "a SendGrid key", r"SG\.", rf"\bSG\.{_W}{{22}}\.{_W}{{43}}"),
    Rule("MAILGUN_KEY", "a Mailgun key", "key-[0-9a-f]{4}", rf"\bkey-{_H}{{32}}\b"),
    Rule("MAILCHIMP_KEY", "a Mailchimp key", "-us[0-9]", rf"\b{_H}{{32}}-us\d{{1,2}}\b"),
    Rule("BREVO_KEY", "a Brevo key", "xkeysib-", rf"\bxkeysib-{_H}{{64}}-{_A}{{16}}\b"),
    Rule("FACEBOOK_TOKEN", "a Facebook token", "EAA[A-Z]", r"\bEAA[A-Z][0-9A-Za-z]{90,300}\b", 4.0),
    Rule("TWITTER_TOKEN", "a Twitter bearer token", "AAAAAAAAAA", r"\bA{18,24}[0-9A-Za-z%]{70,120}", 3.5),
    # --- any vendor ---
    Rule("JSON_WEB_TOKEN", "a JSON web token", "eyJ", rf"\beyJ{_W}{{14,900}}\.eyJ{_W}{{10,900}}\.{_W}{{16,900}}", 3.0, json_web_token),
    Rule("CONNECTION_STRING", "an address with a password", "://",
         r"\b[A-Za-z][0-9A-Za-z+.-]{1,20}://[^ \t\r\n/?#@:\"'<>]{0,64}:([^ \t\r\n/?#@\"'<>]{3,128})@[0-9A-Za-z\[]", 0.0, is_password),
    Rule("CONNECTION_STRING", "an address with a password", r"://[^ \t\r\n/?#@:\"'<>]+@",
         r"\b[A-Za-z][0-9A-Za-z+.-]{1,20}://([^ \t\r\n/?#@:\"'<>]{16,128})@[0-9A-Za-z\[]", 0.0, looks_random, 0.9),
    Rule("AUTHORIZATION_HEADER", "an authorization header", "(?i)authorization",
         r"(?i)\bauthorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:basic|bearer|token|bot)\s{1,3}([0-9A-Za-z+/=._~:-]{16,900})"),
    Rule("AUTHORIZATION_HEADER", "an authorization header", "(?i)bearer", r"(?i)\bbearer\s{1,3}([0-9A-Za-z+/=._~:-]{20,900})", 3.0,
         looks_random, 0.8),
    Rule("PASSWORD_OR_KEY", "a password or key beside its name", "(?i)pass|pwd|secret|token|key|credential",
         r"(?i)(?:pass(?:wor[dt]|wd|phrase)?|pwd|secret|token|api_?-?key|access_?-?key|private_?-?key|credentials?|auth_?key)"
         r"[0-9a-z_.-]{0,24}\\?[\"'`]?\s{0,3}(?:=>|:=|=|:)\s{0,3}\\?[\"'`]?([^\s\"'`,;<>(){}\[\]]{7,127}[^\s\"'`,;<>(){}\[\]\\])",
         0.0, looks_random, 0.7, _ABOUT),
)  # fmt: skip
