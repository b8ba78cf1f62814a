"""The stand-in gives back what Terraform puts into it, refuses what is not there, and forgets what is deleted."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from standin.projection import projected_months
from standin.server import StandIn


@pytest.fixture
def bucket(aws: StandIn) -> str:
    aws.client("s3").create_bucket(Bucket="a-bucket")
    return "a-bucket"


def test_rules_of_a_bucket_come_back_as_they_were_put(aws: StandIn, bucket: str) -> None:
    """With the size from which on objects move, and not at all once they are deleted."""
    s3 = aws.client("s3")
    rule = {
        "ID": "evidence",
        "Status": "Enabled",
        "Filter": {"And": {"Prefix": "evidence/", "ObjectSizeGreaterThan": 1}},
        "Transitions": [{"Days": 30, "StorageClass": "DEEP_ARCHIVE"}],
    }
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    found = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert found["Rules"] == [rule]
    assert found["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    s3.delete_bucket_lifecycle(Bucket=bucket)
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)


def test_a_bucket_s_policy_is_kept_and_not_carried_out(aws: StandIn, bucket: str) -> None:
    """Everything without TLS is denied, and yet an object can be put here, where there is no TLS."""
    s3 = aws.client("s3")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Statement": [deny | {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}]})
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    s3.put_object(Bucket=bucket, Key="x", Body=b"y")
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == policy
    s3.delete_object(Bucket=bucket, Key="x")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket=bucket)


def test_a_configuration_set_has_destinations(aws: StandIn) -> None:
    """They go with it, and need it."""
    ses = aws.client("sesv2")
    topic = {"TopicArn": "arn:aws:sns:us-east-1:123456789012:alerts"}
    told = {"Enabled": True, "MatchingEventTypes": ["BOUNCE"], "SnsDestination": topic}
    asked = {"ConfigurationSetName": "digests", "EventDestinationName": "alerts"}
    with pytest.raises(ClientError, match="NotFoundException"):
        ses.create_configuration_set_event_destination(**asked, EventDestination=told)
    ses.create_configuration_set(ConfigurationSetName="digests", Tags=[{"Key": "a", "Value": "b"}])
    ses.create_configuration_set_event_destination(**asked, EventDestination=told)
    found = ses.get_configuration_set_event_destinations(ConfigurationSetName="digests")["EventDestinations"]
    assert found == [{"Name": "alerts", **told}]
    arn = "arn:aws:ses:us-east-1:123456789012:configuration-set/digests"
    assert ses.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    ses.delete_configuration_set(ConfigurationSetName="digests")
    with pytest.raises(ClientError, match="NotFoundException"):
        ses.get_configuration_set_event_destinations(ConfigurationSetName="digests")


def test_a_domain_has_three_tokens_and_topics(aws: StandIn) -> None:
    """An address has none to set in DNS; both tell a topic of bounces if they are asked to."""
    v2, v1 = aws.client("sesv2"), aws.client("ses")
    domain = v2.create_email_identity(EmailIdentity="example.com")["DkimAttributes"]
    assert len(set(domain["Tokens"])) == 3
    assert v2.get_email_identity(EmailIdentity="example.com")["DkimAttributes"] == domain
    assert v2.create_email_identity(EmailIdentity="a@example.org")["DkimAttributes"]["Tokens"] == []
    v1.set_identity_notification_topic(Identity="example.com", NotificationType="Bounce", SnsTopic="arn:of:a:topic")
    found = v1.get_identity_notification_attributes(Identities=["example.com", "a@example.org"])
    told = found["NotificationAttributes"]
    assert told["example.com"]["BounceTopic"] == "arn:of:a:topic"
    assert "BounceTopic" not in told["a@example.org"]


def test_an_export_is_kept_under_its_arn(aws: StandIn) -> None:
    """With its tags; a deleted one is not found."""
    exports = aws.client("bcm-data-exports")
    output = {"OutputType": "CUSTOM", "Format": "PARQUET", "Compression": "PARQUET", "Overwrite": "OVERWRITE_REPORT"}
    place = {"S3Bucket": "b", "S3Prefix": "p", "S3Region": "us-east-1", "S3OutputConfigurations": output}
    export = {
        "Name": "daily",
        "DataQuery": {"QueryStatement": "SELECT BilledCost FROM FOCUS_1_2_AWS"},
        "DestinationConfigurations": {"S3Destination": place},
        "RefreshCadence": {"Frequency": "SYNCHRONOUS"},
    }
    arn = exports.create_export(Export=export, ResourceTags=[{"Key": "a", "Value": "b"}])["ExportArn"]
    assert exports.get_export(ExportArn=arn)["Export"] == export | {"ExportArn": arn}
    assert exports.list_tags_for_resource(ResourceArn=arn)["ResourceTags"] == [{"Key": "a", "Value": "b"}]
    exports.update_export(ExportArn=arn, Export=export | {"Description": "new"})
    assert exports.get_export(ExportArn=arn)["Export"]["Description"] == "new"
    exports.delete_export(ExportArn=arn)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        exports.get_export(ExportArn=arn)


def test_a_service_keeps_what_it_was_told(aws: StandIn) -> None:
    """Until it is told otherwise; what it was not told is as ECS has it."""
    ecs = aws.client("ecs")
    ecs.create_cluster(clusterName="a-cluster")
    ecs.register_task_definition(family="task", containerDefinitions=[{"name": "c", "image": "i", "memory": 128}])
    there = {"cluster": "a-cluster", "serviceName": "daemon"}
    made = ecs.create_service(**there, taskDefinition="task", desiredCount=0, enableECSManagedTags=True)["service"]
    assert (made["enableECSManagedTags"], made["enableExecuteCommand"]) == (True, False)
    ecs.update_service(cluster="a-cluster", service="daemon", enableExecuteCommand=True)
    [found] = ecs.describe_services(cluster="a-cluster", services=["daemon"])["services"]
    assert (found["enableECSManagedTags"], found["enableExecuteCommand"]) == (True, True)
    assert found["availabilityZoneRebalancing"] == "DISABLED"


def test_a_password_that_rds_manages_is_rotated_no_more(aws: StandIn) -> None:
    """It has no function of its own to rotate it; another secret without one is refused."""
    database = aws.client("rds").create_db_instance(
        DBInstanceIdentifier="a-database",
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        MasterUsername="dagster",
        ManageMasterUserPassword=True,
        AllocatedStorage=20,
    )["DBInstance"]
    secrets, managed = aws.client("secretsmanager"), database["MasterUserSecret"]["SecretArn"]
    secrets.rotate_secret(SecretId=managed, RotateImmediately=False, RotationRules={"AutomaticallyAfterDays": 30})
    assert secrets.describe_secret(SecretId=managed)["RotationEnabled"] is True
    assert secrets.cancel_rotate_secret(SecretId=managed)["ARN"] == managed
    assert secrets.describe_secret(SecretId=managed).get("RotationEnabled", False) is False
    own = secrets.create_secret(Name="own", SecretString="x")["ARN"]
    with pytest.raises(ClientError, match="InvalidRequestException"):
        secrets.cancel_rotate_secret(SecretId=own)


def test_a_rule_tells_what_it_is_for(aws: StandIn) -> None:
    """Also one that names another group; and a parameter that was set is somebody's."""
    ec2, rds = aws.client("ec2"), aws.client("rds")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    one, other = (ec2.create_security_group(GroupName=n, Description=n, VpcId=vpc)["GroupId"] for n in ("one", "other"))
    pair = {"GroupId": other, "Description": "From the other"}
    permission = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [pair]}
    [rule] = ec2.authorize_security_group_ingress(GroupId=one, IpPermissions=[permission])["SecurityGroupRules"]
    assert rule["Description"] == "From the other"
    rds.create_db_parameter_group(DBParameterGroupName="g", DBParameterGroupFamily="postgres17", Description="d")
    parameter = {"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"}
    rds.modify_db_parameter_group(DBParameterGroupName="g", Parameters=[parameter])
    [found] = rds.describe_db_parameters(DBParameterGroupName="g")["Parameters"]
    assert (found["ParameterName"], found["Source"]) == ("rds.force_ssl", "user")


def test_months_are_projected_up_to_now() -> None:
    """As Athena counts them: both ends included, NOW as this month."""
    parameters = {
        "projection.p.format": "yyyy-MM",
        "projection.p.interval": "1",
        "projection.p.interval.unit": "MONTHS",
    }
    now = datetime(2025, 11, 30, 23, 59, tzinfo=UTC)
    closed = projected_months("p", parameters | {"projection.p.range": "2024-11,2025-02"}, "t", now)
    assert closed == ["2024-11", "2024-12", "2025-01", "2025-02"]
    open_ = projected_months("p", parameters | {"projection.p.range": "2025-01,NOW"}, "t", now)
    assert (open_[0], open_[-1]) == ("2025-01", "2025-11")
