"""Files of executed campaigns, for whoever sends them: named by event 14, encrypted with the key that it tells."""

from typing import Annotated

from fastapi import Depends, Header, Path
from starlette.responses import Response

from rapport.access.keys import Principal
from rapport.api.http.auth import caller
from rapport.api.sections import SectionRouter
from rapport.campaigns.delivery import engagements
from rapport.errors import Invalid

router = SectionRouter("Files")


@router.get(
    "/v1/files/{bucket}/{path:path}",
    summary="A file of an executed campaign",
    operation_id="GetEngagementFile",
    response_class=Response,
    responses={
        200: {"description": "The file, decrypted", "content": {"application/octet-stream": {}}},
    },
)
def engagement_file(
    bucket: Annotated[str, Path(description="BucketName of event 14")],
    path: Annotated[str, Path(description="MetadataFilePath of event 14, or a file in its CustomersFolderPath")],
    decryption_key: Annotated[
        str, Header(alias="X-Decryption-Key", max_length=100, description="DecryptionKey of event 14; 400 without it")
    ] = "",
    principal: Principal = Depends(caller("GetEngagementFile")),  # noqa: B008
) -> Response:
    """Bucket and path are those of event 14: MetadataFilePath, or customers_file001.deflate.avro and so on in the
    folder.

    Files are kept for 7 days, unless the tenant sets another time.
    """
    if not decryption_key:
        raise Invalid("X-Decryption-Key is missing: event 14 contains it as DecryptionKey.")
    body = engagements.read_file(principal.scope, bucket, path, decryption_key)
    return Response(body, media_type="application/octet-stream")
