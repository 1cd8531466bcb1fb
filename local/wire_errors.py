"""Errors as AWS puts them on the wire, for what moto lets through as an HTML page: JSON, query XML or S3's XML."""

from __future__ import annotations

import json
import re
import uuid
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

_CREDENTIAL = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")


def service_of(request: Request) -> str:
    """Return the service that the request was signed for, '' when it was not signed."""
    found = _CREDENTIAL.search(request.headers.get("Authorization", ""))
    return found[1] if found else ""


def error_response(request: Request, code: str, message: str, status: int) -> Response:
    """Return an error that botocore raises as ClientError with `code` and `message`, in the request's protocol."""
    request_id = str(uuid.uuid4())
    if request.headers.get("X-Amz-Target"):
        return _json({"__type": code, "message": message}, code, request_id, status)
    if request.mimetype == "application/x-www-form-urlencoded":
        kind = "Sender" if status < 500 else "Receiver"
        body = (
            f"<ErrorResponse><Error><Type>{kind}</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return Response(body, status, {"x-amzn-RequestId": request_id}, content_type="text/xml")
    if service_of(request) in ("s3", ""):
        fault = f"<Code>{code}</Code><Message>{escape(message)}</Message><RequestId>{request_id}</RequestId>"
        headers = {"x-amz-request-id": request_id}
        return Response(f"<Error>{fault}</Error>", status, headers, content_type="application/xml")
    return _json({"message": message}, code, request_id, status)


def _json(body: dict[str, str], code: str, request_id: str, status: int) -> Response:
    headers = {"x-amzn-RequestId": request_id, "x-amzn-ErrorType": code}
    return Response(json.dumps(body), status, headers, content_type="application/json")
