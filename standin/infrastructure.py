"""What only Terraform asks: tags, buckets' rules and policies, destinations of events, exports, the runtime's details.

Kept and given back as AWS does, and without an effect: nothing expires here, no export is ever delivered, no task runs.
"""

from __future__ import annotations

import json
import threading
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from uuid import uuid4
from xml.sax.saxutils import escape

from moto.backends import get_backend
from moto.s3.models import FakeDeleteMarker
from werkzeug import Response

from standin.faults import Call, ServiceError

if TYPE_CHECKING:
    from standin.protocols import Answer
    from standin.server import StandIn

SIZES = "x-amz-transition-default-minimum-object-size"


if not hasattr(FakeDeleteMarker, "dispose"):
    # moto disposes of every version that is deleted, and a mark that something was deleted cannot be.
    FakeDeleteMarker.dispose = lambda _: None


@cache
def _rules_are_described() -> None:
    """moto tells what a rule of a security group is for where it names addresses only, not another group.

    Its EC2 takes 1 s to import, more than all the rest of the stand-in.
    """
    from moto.ec2.models.security_groups import SecurityGroupRule

    SecurityGroupRule.description = property(lambda rule: (rule.ip_range or rule.source_group).get("Description"))


OF_A_SERVICE = {"enableECSManagedTags": False, "enableExecuteCommand": False, "availabilityZoneRebalancing": "DISABLED"}
"""What ECS keeps of a service and moto does not, with what it is where nothing is said."""


class Infrastructure:
    """The operations, whatever their service; every other one is left to the service itself."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._lock = threading.RLock()
        self._operations = {
            ("s3", "PutBucketLifecycleConfiguration"): self._put_lifecycle,
            ("s3", "GetBucketLifecycleConfiguration"): self._get_lifecycle,
            ("s3", "DeleteBucketLifecycle"): self._delete_lifecycle,
            ("s3", "PutBucketPolicy"): self._put_policy,
            ("s3", "GetBucketPolicy"): self._get_policy,
            ("s3", "DeleteBucketPolicy"): self._delete_policy,
            ("s3", "DeleteBucket"): self._forget_bucket,
            ("athena", "ListTagsForResource"): stand_in.moto,
            ("sesv2", "ListTagsForResource"): lambda call: {"Tags": self._tags_of(unquote(call.params["ResourceArn"]))},
            ("sesv2", "CreateEmailIdentity"): self._create_identity,
            ("sesv2", "GetEmailIdentity"): self._get_identity,
            ("sesv2", "DeleteConfigurationSet"): self._delete_configuration_set,
            ("sesv2", "CreateConfigurationSetEventDestination"): self._put_destination,
            ("sesv2", "UpdateConfigurationSetEventDestination"): self._put_destination,
            ("sesv2", "GetConfigurationSetEventDestinations"): self._get_destinations,
            ("sesv2", "DeleteConfigurationSetEventDestination"): self._delete_destination,
            ("ses", "SetIdentityNotificationTopic"): self._set_topic,
            ("ses", "GetIdentityNotificationAttributes"): self._get_topics,
            ("ses", "SetIdentityHeadersInNotificationsEnabled"): lambda call: _xml(call.operation, ""),
            ("ecs", "CreateService"): self._put_service,
            ("ecs", "UpdateService"): self._put_service,
            ("ecs", "DescribeServices"): self._get_services,
            ("rds", "ModifyDBParameterGroup"): self._put_parameters,
            ("secretsmanager", "CancelRotateSecret"): self._cancel_rotation,
            ("bcm-data-exports", "CreateExport"): self._create_export,
            ("bcm-data-exports", "GetExport"): self._get_export,
            ("bcm-data-exports", "UpdateExport"): self._update_export,
            ("bcm-data-exports", "DeleteExport"): self._delete_export,
            ("bcm-data-exports", "ListTagsForResource"): lambda call: {
                "ResourceTags": self._export(call.params["ResourceArn"])["tags"]
            },
        }
        self.reset()

    def reset(self) -> None:
        self.lifecycles: dict[str, tuple[bytes, str]] = {}
        self.bucket_policies: dict[str, bytes] = {}
        self.exports: dict[str, dict[str, Any]] = {}
        self._dkim: dict[str, dict[str, Any]] = {}
        self._destinations: dict[str, dict[str, dict[str, Any]]] = {}
        self._identity_tags: dict[str, list[dict[str, str]]] = {}
        self._topics: dict[str, dict[str, str]] = {}
        self._services: dict[str, dict[str, Any]] = {}

    def knows(self, service: str, operation: str) -> bool:
        return (service, operation) in self._operations

    def answer(self, call: Call) -> Answer | None:
        """The answer, or None where the service itself has one."""
        if call.service == "ec2":
            _rules_are_described()
        operation = self._operations.get((call.service, call.operation))
        if operation is None:
            return None
        with self._lock:
            return operation(call)

    # S3: what was put comes back as it was. ---------------------------------------------------------------------------

    def _put_lifecycle(self, call: Call) -> Answer:
        response = self._stand_in.moto(call)  # which knows whether the bucket is there and the rules are sound
        if response.status_code < 300:
            size = call.request.headers.get(SIZES, "all_storage_classes_128K")
            self.lifecycles[call.params["Bucket"]] = call.request.get_data(), size
            response.headers[SIZES] = size
        return response

    def _get_lifecycle(self, call: Call) -> Answer:
        if call.params["Bucket"] not in self.lifecycles:
            return self._stand_in.moto(call)
        body, size = self.lifecycles[call.params["Bucket"]]
        return Response(body, content_type="application/xml", headers={SIZES: size})

    def _delete_lifecycle(self, call: Call) -> Answer:
        self.lifecycles.pop(call.params["Bucket"], None)
        return self._stand_in.moto(call)

    # moto would carry out a policy without looking at its conditions, and deny everything that is denied without TLS.

    def _put_policy(self, call: Call) -> Answer:
        self.bucket_policies[call.params["Bucket"]] = call.request.get_data()
        return Response(status=204)

    def _get_policy(self, call: Call) -> Answer:
        policy = self.bucket_policies.get(call.params["Bucket"])
        return self._stand_in.moto(call) if policy is None else Response(policy, content_type="application/json")

    def _delete_policy(self, call: Call) -> Answer:
        self.bucket_policies.pop(call.params["Bucket"], None)
        return Response(status=204)

    def _forget_bucket(self, call: Call) -> Answer:
        response = self._stand_in.moto(call)
        if response.status_code < 300:
            for kept in (self.lifecycles, self.bucket_policies):
                kept.pop(call.params["Bucket"], None)
        return response

    # SES --------------------------------------------------------------------------------------------------------------

    def _tags_of(self, arn: str) -> list[dict[str, str]]:
        kind, _, name = arn.rsplit(":", 1)[1].partition("/")
        if kind == "configuration-set":
            return self._configuration_set(name).get("Tags", [])
        return self._identity_tags.get(name, [])

    def _create_identity(self, call: Call) -> Answer:
        answer, identity = self._stand_in.mail.answer(call), call.params["EmailIdentity"]
        self._identity_tags[identity] = call.params.get("Tags", [])
        length = call.params.get("DkimSigningAttributes", {}).get("NextSigningKeyLength", "RSA_2048_BIT")
        self._dkim[identity] = {
            "SigningEnabled": "@" not in identity,
            "Status": "NOT_STARTED" if "@" in identity else "PENDING",
            "SigningAttributesOrigin": "AWS_SES",
            "NextSigningKeyLength": length,
            "CurrentSigningKeyLength": length,
            "Tokens": [] if "@" in identity else [uuid4().hex for _ in range(3)],
        }
        return answer | {"DkimAttributes": self._dkim[identity]}

    def _get_identity(self, call: Call) -> Answer:
        identity = unquote(call.params["EmailIdentity"])
        answer = self._stand_in.mail.answer(call)
        return answer | {"DkimAttributes": self._dkim[identity]} if identity in self._dkim else answer

    def _configuration_set(self, name: str) -> dict[str, Any]:
        configuration_set = self._stand_in.mail.configuration_sets.get(name)
        if configuration_set is None:
            raise ServiceError("NotFoundException", f"Configuration set <{name}> does not exist.", 404)
        return configuration_set

    def _delete_configuration_set(self, call: Call) -> Answer:
        name = call.params["ConfigurationSetName"]
        self._configuration_set(name)
        del self._stand_in.mail.configuration_sets[name]
        self._destinations.pop(name, None)
        return {}

    def _put_destination(self, call: Call) -> Answer:
        name, settings = call.params["ConfigurationSetName"], call.params["EventDestination"]
        self._configuration_set(name)
        destination = call.params["EventDestinationName"]
        self._destinations.setdefault(name, {})[destination] = {"Name": destination, **settings}
        return {}

    def _get_destinations(self, call: Call) -> Answer:
        name = call.params["ConfigurationSetName"]
        self._configuration_set(name)
        return {"EventDestinations": list(self._destinations.get(name, {}).values())}

    def _delete_destination(self, call: Call) -> Answer:
        destinations = self._destinations.get(call.params["ConfigurationSetName"], {})
        if destinations.pop(call.params["EventDestinationName"], None) is None:
            raise ServiceError("NotFoundException", "There is no such event destination.", 404)
        return {}

    def _set_topic(self, call: Call) -> Answer:
        topics = self._topics.setdefault(call.params["Identity"], {})
        topics[call.params["NotificationType"]] = call.params.get("SnsTopic", "")
        return _xml(call.operation, "")

    def _get_topics(self, call: Call) -> Answer:
        entries = ""
        for identity in call.params["Identities"]:
            topics = self._topics.get(identity, {}).items()
            elements = "".join(f"<{kind}Topic>{escape(topic)}</{kind}Topic>" for kind, topic in topics if topic)
            elements += "<ForwardingEnabled>true</ForwardingEnabled>"
            entries += f"<entry><key>{escape(identity)}</key><value>{elements}</value></entry>"
        return _xml(call.operation, f"<NotificationAttributes>{entries}</NotificationAttributes>")

    # The runtime: ECS, its database, the password of the database -----------------------------------------------------

    def _put_service(self, call: Call) -> Answer:
        response = self._stand_in.moto(call)
        if response.status_code == 200:
            service = json.loads(response.get_data())["service"]
            kept = self._services.setdefault(service["serviceArn"], dict(OF_A_SERVICE))
            kept |= {name: call.params[name] for name in OF_A_SERVICE if name in call.params}
            response.set_data(json.dumps({"service": service | kept}))
        return response

    def _get_services(self, call: Call) -> Answer:
        response = self._stand_in.moto(call)
        if response.status_code == 200:
            answer = json.loads(response.get_data())
            answer["services"] = [each | self._services.get(each["serviceArn"], {}) for each in answer["services"]]
            response.set_data(json.dumps(answer))
        return response

    def _put_parameters(self, call: Call) -> Answer:
        response = self._stand_in.moto(call)
        if response.status_code == 200:
            groups = get_backend("rds")[self._stand_in.account][call.region].db_parameter_groups
            for parameter in groups[call.params["DBParameterGroupName"]].parameters.values():
                parameter["Source"] = "user"  # as RDS says of what somebody has set
        return response

    def _cancel_rotation(self, call: Call) -> Answer:
        """A secret that RDS manages is rotated by RDS: there is no function of its own, which moto asks for."""
        secrets = get_backend("secretsmanager")[self._stand_in.account][call.region].secrets
        secret = next((each for each in secrets.values() if call.params["SecretId"] in (each.arn, each.name)), None)
        if secret is None or secret.owning_service != "rds":
            return self._stand_in.moto(call)
        secret.rotation_enabled = False
        return {"ARN": secret.arn, "Name": secret.name}

    # Data Exports -----------------------------------------------------------------------------------------------------

    def _export(self, arn: str) -> dict[str, Any]:
        if arn not in self.exports:
            raise ServiceError("ResourceNotFoundException", f"Export {arn} does not exist.", 400)
        return self.exports[arn]

    def _create_export(self, call: Call) -> Answer:
        export = call.params["Export"]
        arn = f"arn:aws:bcm-data-exports:us-east-1:{self._stand_in.account}:export/{export['Name']}-{uuid4()}"
        self.exports[arn] = {
            "export": {**export, "ExportArn": arn},
            "tags": call.params.get("ResourceTags", []),
            "made": f"{call.at:%Y-%m-%dT%H:%M:%SZ}",
        }
        return {"ExportArn": arn}

    def _get_export(self, call: Call) -> Answer:
        export = self._export(call.params["ExportArn"])
        status = {"StatusCode": "HEALTHY", "CreatedAt": export["made"], "LastUpdatedAt": export["made"]}
        return {"Export": export["export"], "ExportStatus": status}

    def _update_export(self, call: Call) -> Answer:
        arn = call.params["ExportArn"]
        self._export(arn)["export"] = {**call.params["Export"], "ExportArn": arn}
        return {"ExportArn": arn}

    def _delete_export(self, call: Call) -> Answer:
        arn = call.params["ExportArn"]
        self._export(arn)
        del self.exports[arn]
        return {"ExportArn": arn}


def _xml(operation: str, result: str) -> Response:
    """An answer of SES's first version."""
    body = (
        f'<{operation}Response xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><{operation}Result>{result}'
        f"</{operation}Result><ResponseMetadata><RequestId>{uuid4()}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return Response(body, content_type="text/xml")
