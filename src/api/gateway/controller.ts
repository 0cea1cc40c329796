/** What IngressClasses and GatewayClasses name to be served by the HAProxy of the nodes. */
export const proxyController = 'gantry.dev/haproxy';
