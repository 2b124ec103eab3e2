"""What may be imported: per kind the table it goes to, its columns and the names they have in files."""

from dataclasses import dataclass, field

from rapport.customers.attributes import BUILT_IN
from rapport.customers.consent import Consent
from rapport.errors import Invalid


@dataclass(frozen=True)
class Field:
    """A column of a table. type is a key of values.RULES; names are those of files, in any case.

    One of consent is read as Yes or No, whatever it says. A value that may be missing takes `default` (SQL); a
    required one makes the row a reject.
    """

    column: str
    type: str
    names: tuple[str, ...]
    required: bool = False
    default: str = "NULL"
    pii: bool = False
    # The forms in which decimals of the column are written: see numerals.
    forms: tuple[str, ...] = ()
    consent: Consent | None = None
    # Where a value is given: another column, and SQL of what that holds then, whatever the row says of it.
    implies: tuple[str, str] | None = None


@dataclass(frozen=True)
class Kind:
    """One kind of file. key names the primary key; customer_column is where the CustomerID is."""

    name: str
    table: str
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    customer_column: str = ""
    time_column: str = ""
    extras: str = "properties"
    by_name: dict[str, Field] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        self.by_name.update({name.lower(): field for field in self.fields for name in field.names})


CUSTOMER_ID = Field("customer_id", "Person", ("Customer_ID", "CustomerID", "Player_ID", "PlayerID"), required=True)
TRANSACTION_ID = Field(
    "transaction_id",
    "Id",
    ("Transaction_ID", "TransactionID", "Order_ID", "OrderID", "Bet_ID", "Ticket_ID", "Payment_ID"),
    required=True,
)
TRANSACTION_TIME = Field(
    "transaction_time",
    "Datetime",
    ("Transaction_Date", "Transaction_Time", "Order_Date", "Order_Time", "Bet_Date", "Payment_Date", "Activity_Date"),
    required=True,
)
PRODUCT_ID = Field("product_id", "Id", ("Item_ID", "ItemID", "Product_ID", "ProductID", "SKU"), required=True)
REQUIRED_ATTRIBUTES = {"REGISTRATION_DATE"}
NARROWER = {"EMAIL": "Email", "REGISTRATION_DATE": "Day"}


def _attribute_field(name: str, type_: str, pii: bool) -> Field:
    return Field(name, NARROWER.get(name, type_), (name.title(),), required=name in REQUIRED_ATTRIBUTES, pii=pii)


CUSTOMERS = Kind(
    "customers",
    "customers",
    (CUSTOMER_ID, *(_attribute_field(info.real_field_name, info.field_type, info.is_pii) for info in BUILT_IN)),
    key=("customer_id",),
    customer_column="customer_id",
    extras="attributes",
)
TRANSACTIONS = Kind(
    "transactions",
    "transactions",
    (
        TRANSACTION_ID,
        CUSTOMER_ID,
        TRANSACTION_TIME,
        Field("type", "Text", ("Type", "Transaction_Type"), default="'order'"),
        Field("amount", "Number", ("Amount", "Total_Amount", "Amount_In", "Stake", "Bet_Amount"), required=True),
        Field("discount", "Number", ("Discount", "Discount_Amount"), default="0"),
        Field("status", "Text", ("Status", "Order_Status"), default="''"),
        Field("platform", "Text", ("Platform",), default="''"),
        Field("promo_code", "Text", ("Promo_Code", "PromoCode"), default="''"),
        Field(
            "refund_of",
            "Id",
            (
                "Refund_Of",
                "Refunded_Transaction_ID",
                "Refunded_Order_ID",
                "Original_Transaction_ID",
                "Original_Order_ID",
            ),
            default="''",
            implies=("type", "'refund'"),
        ),
    ),
    key=("transaction_id",),
    customer_column="customer_id",
    time_column="transaction_time",
)
ITEMS = Kind(
    "items",
    "transaction_items",
    (
        TRANSACTION_ID,
        Field("line_number", "Count", ("Line_No", "Line_Number"), default="toUInt32(_row)"),
        Field("customer_id", "Person", CUSTOMER_ID.names, default="''"),
        Field("transaction_time", "Datetime", TRANSACTION_TIME.names, default="toDateTime(0, 'UTC')"),
        PRODUCT_ID,
        Field("quantity", "Number", ("Quantity",), default="1"),
        Field("unit_price", "Number", ("Unit_Price", "Price"), required=True),
        Field("is_return", "Flag", ("Is_Return",), default="0"),
    ),
    key=("transaction_id", "line_number"),
    customer_column="customer_id",
    time_column="transaction_time",
)
PRODUCTS = Kind(
    "products",
    "products",
    (
        PRODUCT_ID,
        Field("name", "Text", ("Item_Name", "Product_Name", "Name"), default="''"),
        Field("category", "Text", ("Category",), default="''"),
        Field("department", "Text", ("Department",), default="''"),
        Field("brand", "Text", ("Brand",), default="''"),
        Field("price", "Number", ("Price",)),
        Field("is_active", "Flag", ("Is_Active",), default="1"),
    ),
    key=("product_id",),
)
ACTIVITY = Kind(
    "activity",
    "activity_events",
    (
        Field("event_id", "Id", ("Event_ID", "EventID", "Activity_ID"), required=True),
        Field("event_name", "Id", ("Event_Name", "Event", "Event_Type", "Activity_Name"), required=True),
        CUSTOMER_ID,
        Field(
            "event_at",
            "Instant",
            ("Event_Date", "Event_Time", "Timestamp", "Activity_Date", "Activity_Time"),
            required=True,
        ),
    ),
    key=("event_id",),
    customer_column="customer_id",
    time_column="event_at",
)
KINDS = {kind.name: kind for kind in (CUSTOMERS, TRANSACTIONS, ITEMS, PRODUCTS, ACTIVITY)}


def names_customers(kind: Kind) -> bool:
    """Whether rows of a kind are of customers who are in another file."""
    return bool(kind.customer_column) and kind.name != "customers"


def kind_of(name: str) -> Kind:
    """The kind of this name. Raises Invalid."""
    if name not in KINDS:
        raise Invalid(f"kind must be one of {', '.join(KINDS)}, not {name!r}.")
    return KINDS[name]
