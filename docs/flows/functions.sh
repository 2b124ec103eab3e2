# Functions for the commands of these pages, for bash and zsh. Load them with: . docs/flows/functions.sh

# field NAME: prints a member of the JSON on standard input; a dot leads into a member, a number is an index of a list.
field() {
    python3 -c '
import json, sys

text = sys.stdin.read().strip()
try:
    found = json.loads(text)
    for name in sys.argv[1].split("."):
        found = found[int(name) if isinstance(found, list) else name]
    print(found if isinstance(found, str) else json.dumps(found))
except (IndexError, KeyError, TypeError, ValueError):
    sys.exit(f"There is no {sys.argv[1]} in the answer: {text}" if text else "There was no answer.")
' "$1"
}

# create NOUN JSON: creates something with the management API, unless one of that name exists; prints its ID.
create() {
    local all found
    all=$(curl -sS --fail-with-body "$BASE/manage/v1/$1?limit=1000" -H "X-API-KEY: $ADMIN") || { echo "$all" >&2; return 1; }
    found=$(printf %s "$all" | python3 -c '
import json, sys

try:
    name = json.loads(sys.argv[1])["name"]
except (KeyError, TypeError, ValueError):
    sys.exit(f"This is no JSON object with a name: {sys.argv[1]}")
print(*[one["id"] for one in json.load(sys.stdin) if one["name"] == name][:1])
' "$2") || return 1
    if [ -n "$found" ]; then
        echo "$found"
    else
        curl -sS --fail-with-body "$BASE/manage/v1/$1" -H "X-API-KEY: $ADMIN" -H "Content-Type: application/json" \
            -d "$2" | field id
    fi
}

# wait_for CAMPAIGN STATE [SECONDS]: waits until a campaign has a state, two minutes by default; fails if it cannot reach it.
wait_for() {
    local campaign state second
    for second in $(seq "${3:-120}"); do
        campaign=$(curl -sS --fail-with-body "$BASE/manage/v1/campaigns/$1" -H "X-API-KEY: $ADMIN") ||
            { echo "$campaign" >&2; return 1; }
        state=$(printf %s "$campaign" | field state) || return 1
        case "$state" in
            "$2") return 0 ;;
            "awaiting confirmation" | failed | canceled | "not run")
                echo "Campaign $1 is $state: $(printf %s "$campaign" | field error)" >&2
                return 1 ;;
        esac
        sleep 1
    done
    echo "Campaign $1 is still $state, not $2." >&2
    return 1
}

# posted NAME=VALUE...: prints the last post in the file EVENTS that has these members; waits for it for two minutes.
posted() {
    python3 -c '
import functools, json, pathlib, sys, time

file, wanted = pathlib.Path(sys.argv[1]), [one.split("=", 1) for one in sys.argv[2:]]


def member(event, path):
    try:
        return str(functools.reduce(lambda part, name: part[name], path.split("."), event))
    except (KeyError, TypeError):
        return None


for second in range(120):
    lines = file.read_text().splitlines() if file.exists() else []
    found = [line for line in lines if all(member(json.loads(line), path) == value for path, value in wanted)]
    if found:
        sys.exit(print(found[-1]))
    time.sleep(1)
names = " ".join(sys.argv[2:])
sys.exit(f"Nothing with {names} was posted: GET /manage/v1/listeners/<id>/deliveries says why.")
' "$EVENTS" "$@"
}
